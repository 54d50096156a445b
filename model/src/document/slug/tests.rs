use super::*;
use crate::name::SiteName;

#[test]
fn what_is_offered_would_be_taken() {
    for (bad, near) in
        [("Bad_Name", "bad-name"), ("-a--b-", "a-b"), ("a.b", "a-b"), ("电信", ""), ("", "")]
    {
        assert_eq!(label_near(bad), near, "{bad}");
        assert!(near.is_empty() || SiteName::new(near).is_ok(), "{near}");
    }
    assert!(SiteName::new(&label_near(&"x_".repeat(99))).is_ok());
}

#[test]
fn dots_stay_where_names_may_have_them() {
    assert_eq!(labels_near("My_App..Example").as_deref(), Some("my-app.example"));
    assert_eq!(labels_near("_._"), None);
    assert!(help_for_hostname(" ").ends_with("`www.edge.example`"));
}
