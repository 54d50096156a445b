//! The engine against a reference: RFC 1034, section 4.3.2, RFC 4592 and RFC 6672 written down
//! slowly and plainly over lists of text, on random small zones where nearly everything collides.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::hash::RandomState;
use std::sync::Arc;

use dns::{Settings, Transport, View};
use model::Policy;
use model::record::{RecordSet, RecordType};
use model::zone::{NameServer, Zone};
use proptest::prelude::*;
use steering::Snapshot;
use world::{Ask, name, zone};

const APEX: &str = "z.";
/// As many CNAMEs as an answer holds.
const CHAIN_MAX: usize = 5;
const NS: &str = "ns.other.";
const SOA: &str = "@z. 60 SOA ns1.edge.example. hostmaster.edge.example. 0 7200 900 1209600 60";

/// A record as text: owner, type, rdata (a name, or nothing where it does not matter).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    owner: String,
    kind: &'static str,
    target: String,
}

/// The zone's own name, or below it.
fn is_below(name: &str, apex: &str) -> bool {
    name == apex || name.ends_with(&format!(".{apex}"))
}

fn parent(name: &str) -> &str {
    name.split_once('.').map_or("", |(_, parent)| parent)
}

/// The suffixes of a name from the apex down to the name itself.
fn path(name: &str) -> Vec<&str> {
    let mut path = vec![name];
    while let Some(&last) = path.last()
        && last != APEX
    {
        path.push(parent(last));
    }
    path.reverse();
    path
}

struct Reference<'a> {
    entries: &'a [Entry],
    answer: BTreeSet<String>,
}

impl Reference<'_> {
    fn has(&self, owner: &str, kind: &str) -> bool {
        self.entries.iter().any(|entry| entry.owner == owner && entry.kind == kind)
    }

    fn exists(&self, name: &str) -> bool {
        name == APEX || self.entries.iter().any(|entry| is_below(&entry.owner, name))
    }

    /// The records of a node told under another owner.
    fn told(&self, node: &str, kind: &str, owner: &str) -> Vec<String> {
        let same = self.entries.iter().filter(|entry| entry.owner == node && entry.kind == kind);
        same.map(|entry| {
            let rdata = match kind {
                "A" => "192.0.2.1".to_owned(),
                "TXT" => "text".to_owned(),
                "DS" => "AAENAgECAwQ=".to_owned(),
                "MX" => format!("10 {}", entry.target),
                _ => entry.target.clone(),
            };
            format!("{owner} 300 {kind} {rdata}")
        })
        .collect()
    }

    fn target(&self, node: &str, kind: &str) -> String {
        let found = self.entries.iter().find(|entry| entry.owner == node && entry.kind == kind);
        found.expect("the record").target.clone()
    }

    fn addresses_of_servers(&self, node: &str) -> BTreeSet<String> {
        let servers = self.entries.iter().filter(|e| e.owner == node && e.kind == "NS");
        servers
            .flat_map(|entry| self.told(&entry.target, "A", &entry.target))
            .map(|line| format!("+{line}"))
            .collect()
    }

    /// The node whose records a client is told for a host, if no cut and no alias is on the way.
    fn node_of(&self, host: &str) -> Option<String> {
        if !is_below(host, APEX) {
            return None;
        }
        let path = path(host);
        let is_cut = |node: &&str| *node != APEX && self.has(node, "NS");
        let is_moved = |node: &&str| *node != host && self.has(node, "DNAME");
        if path.iter().any(|node| is_cut(node) || is_moved(node)) {
            return None;
        }
        if self.exists(host) {
            return Some(host.to_owned());
        }
        let encloser = path.iter().rfind(|node| self.exists(node))?;
        Some(format!("*.{encloser}"))
    }

    /// The zone's own servers; what lies below a cut is told as well. A set is told once, so those of
    /// `given` are left out.
    fn addresses_at_apex(&self, given: &[String]) -> BTreeSet<String> {
        let servers = self.entries.iter().filter(|e| e.owner == APEX && e.kind == "NS");
        let hosts = servers.map(|entry| &entry.target).filter(|host| is_below(host, APEX));
        let nodes = hosts.filter_map(|host| {
            let exact = self.exists(host).then(|| host.clone());
            Some((host, exact.or_else(|| self.node_of(host))?))
        });
        let fresh = nodes.filter(|(_, node)| !given.contains(node));
        let lines = fresh.flat_map(|(host, node)| self.told(&node, "A", host));
        lines.map(|line| format!("+{line}")).collect()
    }

    /// The nodes that the mail hosts of a node are told from, and what is told.
    fn addresses_of_hosts(&self, node: &str) -> (Vec<String>, BTreeSet<String>) {
        let hosts = self.entries.iter().filter(|e| e.owner == node && e.kind == "MX");
        let found = hosts.filter_map(|entry| Some((&entry.target, self.node_of(&entry.target)?)));
        let found: Vec<(&String, String)> = found.collect();
        let lines = found.iter().flat_map(|(host, node)| self.told(node, "A", host));
        let lines = lines.map(|line| format!("+{line}")).collect();
        (found.into_iter().map(|(_, node)| node).collect(), lines)
    }

    fn refer(&self, cut: &str, owner: &str) -> String {
        let authority: BTreeSet<String> =
            self.told(cut, "NS", owner).into_iter().map(|line| format!("@{line}")).collect();
        let aa = if self.answer.is_empty() { "" } else { " aa" };
        self.finish(&format!("NOERROR{aa}"), &[authority, self.addresses_of_servers(cut)].concat())
    }

    fn finish(&self, head: &str, rest: &BTreeSet<String>) -> String {
        let lines = self.answer.iter().chain(rest).map(|line| format!("\n{line}"));
        head.to_owned() + &lines.collect::<String>()
    }

    fn run(&mut self, question: &str, kind: &'static str) -> String {
        let soa = || BTreeSet::from([SOA.to_owned()]);
        let mut name = question.to_owned();
        let mut seen = Vec::new();
        loop {
            if seen.contains(&name) || !is_below(&name, APEX) {
                return self.finish("NOERROR aa", &BTreeSet::new());
            }
            seen.push(name.clone());
            let mut moved = None;
            for node in path(&name) {
                if node != APEX && self.has(node, "NS") && !(node == name && kind == "DS") {
                    return self.refer(node, node);
                }
                if node != name && self.has(node, "DNAME") {
                    moved = Some(node.to_owned());
                    break;
                }
            }
            if let Some(node) = moved {
                if seen.len() > CHAIN_MAX {
                    return self.finish("NOERROR aa", &BTreeSet::new());
                }
                self.answer.extend(self.told(&node, "DNAME", &node));
                let kept = name.strip_suffix(&node).expect("below it");
                let next = format!("{kept}{}", self.target(&node, "DNAME"));
                self.answer.insert(format!("{name} 300 CNAME {next}"));
                if kind == "CNAME" {
                    return self.finish("NOERROR aa", &BTreeSet::new());
                }
                name = next;
                continue;
            }
            let mut node = name.clone();
            if !self.exists(&name) {
                let path = path(&name);
                let encloser = path.iter().rfind(|node| self.exists(node)).expect("the apex");
                node = format!("*.{encloser}");
                if !self.exists(&node) {
                    return self.finish("NXDOMAIN aa", &soa());
                }
            }
            if kind == "SOA" && node == APEX {
                let told = SOA.trim_start_matches('@').replace(" 60 SOA", " 3600 SOA");
                self.answer.insert(told);
                return self.hit(&node, kind);
            }
            if self.has(&node, kind) {
                self.answer.extend(self.told(&node, kind, &name));
                return self.hit(&node, kind);
            }
            if !self.has(&node, "CNAME") {
                return self.finish("NOERROR aa", &soa());
            }
            if seen.len() > CHAIN_MAX {
                return self.finish("NOERROR aa", &BTreeSet::new());
            }
            self.answer.extend(self.told(&node, "CNAME", &name));
            name = self.target(&node, "CNAME");
        }
    }

    fn hit(&self, node: &str, kind: &str) -> String {
        let rest = match kind {
            "NS" if node == APEX => self.addresses_at_apex(&[]),
            "NS" => self.addresses_of_servers(node),
            "DS" => BTreeSet::new(),
            _ => {
                let servers = self.told(APEX, "NS", APEX);
                let servers = servers.iter().map(|line| format!("@{line}")).collect();
                let (given, hosts) = match kind {
                    "MX" => self.addresses_of_hosts(node),
                    "A" => (vec![node.to_owned()], BTreeSet::new()),
                    _ => (Vec::new(), BTreeSet::new()),
                };
                [[servers, hosts].concat(), self.addresses_at_apex(&given)].concat()
            }
        };
        self.finish("NOERROR aa", &rest)
    }
}

/// `BTreeSet`s put together.
trait Together {
    fn concat(&self) -> BTreeSet<String>;
}

impl Together for [BTreeSet<String>; 2] {
    fn concat(&self) -> BTreeSet<String> {
        self.iter().flatten().cloned().collect()
    }
}

/// What a server would load: CNAME stands alone, one CNAME and one DNAME a name, nothing twice.
fn sound(entries: Vec<Entry>) -> Vec<Entry> {
    let apex = Entry { owner: APEX.to_owned(), kind: "NS", target: NS.to_owned() };
    let mut kept: Vec<Entry> = vec![apex];
    for entry in entries {
        let mine = || kept.iter().filter(|other| other.owner == entry.owner);
        let is_single = matches!(entry.kind, "CNAME" | "DNAME");
        let is_alone = entry.kind == "CNAME" && mine().next().is_some();
        let is_beside_alias = mine().any(|other| other.kind == "CNAME");
        let is_double = mine().any(|other| {
            other.kind == entry.kind
                && (is_single || other.target == entry.target || !matches!(entry.kind, "NS" | "MX"))
        });
        if !(is_alone || is_beside_alias || is_double) {
            kept.push(entry);
        }
    }
    kept
}

fn view(entries: &[Entry]) -> View {
    let target = |entry: &Entry| -> Box<[u8]> { name(&entry.target).into() };
    let (apex_servers, others): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| entry.owner == APEX && entry.kind == "NS");
    let records = others.iter().map(|entry| {
        let (record_type, rdata) = match entry.kind {
            "A" => (RecordType::A, [192, 0, 2, 1].into()),
            "TXT" => (RecordType::TXT, (*b"\x04text").into()),
            "NS" => (RecordType::NS, target(entry)),
            "CNAME" => (RecordType::CNAME, target(entry)),
            "DNAME" => (RecordType::DNAME, target(entry)),
            "MX" => (RecordType::MX, [&[0, 10], name(&entry.target).as_wire()].concat().into()),
            "DS" => (RecordType::DS, [0, 1, 13, 2, 1, 2, 3, 4].into()),
            other => panic!("no rdata for `{other}`"),
        };
        RecordSet { owner: name(&entry.owner), record_type, ttl_s: 300, rdata: vec![rdata] }
    });
    let servers = apex_servers
        .iter()
        .map(|entry| NameServer { name: name(&entry.target), addresses: Vec::new() });
    let zone = Zone {
        apex: name(APEX),
        name_servers: servers.collect(),
        ns_ttl_s: 300,
        records: records.collect(),
        ..zone()
    };
    let policy = Arc::new(Policy { zones: vec![zone], ..Policy::default() });
    let snapshot = Snapshot { policy, ..Snapshot::default() };
    View::build(&snapshot, Settings::default(), &RandomState::new()).expect("a view")
}

/// The engine's answer with the lines of each section in order of their text.
fn ours(view: &View, question: &str, kind: &str) -> String {
    let record_type = match kind {
        "A" => RecordType::A,
        "TXT" => RecordType::TXT,
        "NS" => RecordType::NS,
        "CNAME" => RecordType::CNAME,
        "DNAME" => RecordType::DNAME,
        "DS" => RecordType::DS,
        "MX" => RecordType::MX,
        _ => RecordType::SOA,
    };
    let answer = Ask::new(question, record_type).answer_over(view, Transport::Tcp);
    let (head, lines) = answer.split_once('\n').unwrap_or((&answer, ""));
    let mut sections = [BTreeSet::new(), BTreeSet::new()];
    for line in lines.lines() {
        let is_answer = !line.starts_with(['@', '+']);
        assert!(sections[usize::from(!is_answer)].insert(line), "twice: {answer}");
    }
    let lines = sections.iter().flatten().map(|line| format!("\n{line}"));
    head.to_owned() + &lines.collect::<String>()
}

fn any_name(labels: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec!["a", "b", "*"]);
    prop::collection::vec(label, labels).prop_map(|labels| {
        labels.iter().fold(APEX.to_owned(), |name, label| format!("{label}.{name}"))
    })
}

/// Mostly what shapes a zone: cuts, aliases, what lies at and below them.
fn any_entry() -> impl Strategy<Value = Entry> {
    let kind = prop::sample::select(vec![
        "A", "A", "TXT", "NS", "NS", "DS", "CNAME", "CNAME", "CNAME", "DNAME", "MX",
    ]);
    let target = prop_oneof![5 => any_name(0..4), 1 => Just("x.other.".to_owned())];
    (any_name(0..4), kind, target).prop_map(|(owner, kind, target)| {
        // An NS record of the apex is the zone's own.
        Entry { owner, kind, target }
    })
}

const KINDS: [&str; 8] = ["A", "TXT", "NS", "CNAME", "DNAME", "DS", "SOA", "MX"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_answers_as_the_reference(
        entries in prop::collection::vec(any_entry(), 0..14),
        questions in prop::collection::vec((any_name(0..5), prop::sample::select(&KINDS[..])), 10),
        near in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::option::of(any_name(1..2)), prop::sample::select(&KINDS[..])),
            10,
        ),
    ) {
        let entries = sound(entries);
        let view = view(&entries);
        // Half of the questions are for owners and names just below them.
        let near = near.into_iter().map(|(at, label, kind)| {
            let owner = &at.get(&entries).owner;
            let below = label.as_ref().and_then(|label| label.strip_suffix(APEX));
            (format!("{}{owner}", below.unwrap_or_default()), kind)
        });
        for (question, kind) in questions.into_iter().chain(near) {
            let mut reference = Reference { entries: &entries, answer: BTreeSet::new() };
            let wanted = reference.run(&question, kind);
            prop_assert_eq!(ours(&view, &question, kind), wanted, "{} {} in {:#?}", question, kind, entries);
        }
    }
}
