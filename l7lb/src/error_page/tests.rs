use super::*;

fn page(statuses: &[(u16, u16)], backends_too: bool, body: &str) -> Page {
    let page = ErrorPage {
        statuses: statuses.to_vec(),
        backends_too,
        content_type: "text/html".into(),
        body: body.into(),
    };
    Page::compile(&page).unwrap()
}

#[test]
fn the_first_page_for_a_status_is_taken_and_backends_keep_theirs_unless_asked() {
    let pages = [
        page(&[(404, 404)], false, "ours"),
        page(&[(400, 499), (503, 503)], true, "all"),
        page(&[(500, 599)], false, "late"),
    ];
    let found = |status, whose| Page::find(&pages, status, whose).map(|page| page.body.clone());
    for (status, own, backend) in [
        (404, Some("ours"), Some("all")),
        (403, Some("all"), Some("all")),
        (503, Some("all"), Some("all")),
        (502, Some("late"), None),
        (302, None, None),
    ] {
        assert_eq!(found(status, Whose::Own), own.map(Bytes::from), "{status}");
        assert_eq!(found(status, Whose::Backend), backend.map(Bytes::from), "{status}");
    }
}

#[test]
fn a_content_type_that_is_none_is_refused() {
    let page = ErrorPage {
        statuses: vec![],
        backends_too: false,
        content_type: "a\nb".into(),
        body: "".into(),
    };
    assert_eq!(Page::compile(&page), None);
}
