//! Builds the route tables out of what `attach` found: one for each place where HTTP is served.
//!
//! A change of one route compiles that route and files it; the rest of the tables is shared with those
//! before. Rules are made of their document, its outcome in `attach` and HttpPolicies; what they look
//! at beyond that is noted while they do, so that nothing can be forgotten ([`Looks`]).
//! One bad document never stops another: what cannot be used is left out with a [`Warning`].

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use model::gateway::{
    Edit, GatewayObjects, HostPattern, Ingress, ListenerProtocol, Meta, Object, ObjectKind,
    ObjectSet, PathMatch,
};

use super::host_routes::{HostEdit, HostRoutes};
use super::{Candidate, ListenerNames, RouteTable, Table};
use crate::attach::{Attached, Attachment, Resolved, Scene};
use crate::backend_tls;
use crate::cluster::Clusters;
use crate::kept::Kept;
use crate::rule::{Rule, RuleSource, Surroundings, Target};
use crate::slots::Slots;
use crate::socket::{Place, TableId};
use crate::view::Warning;

/// What tables are built from.
pub(crate) struct Source<'a> {
    pub(crate) scene: &'a Scene<'a>,
    pub(crate) attachment: &'a Attachment<'a>,
    pub(crate) kept: &'a Kept,
}

/// What was built before.
pub(crate) struct Before<'b> {
    pub(crate) attached: &'b Attached,
    pub(crate) table: &'b RouteTable,
    pub(crate) built: &'b AllBuilt,
}

/// What the rules of one route or Ingress came to.
#[derive(Debug)]
pub(crate) struct Built {
    /// Their numbers; none when it is served nowhere.
    rules: Box<[u32]>,
    /// Whether anything beyond the document, its outcome and HttpPolicies was looked at.
    looks: Looks,
    /// What was left out.
    notes: Box<[Warning]>,
    /// The rule of an Ingress's default backend.
    default: Option<u32>,
}

/// How far the rules of a document looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// At the document, its outcome, and HttpPolicies.
    Near,
    /// At Secrets, ConfigMaps, or Services that the document itself does not name.
    Far,
}

/// What was built, each list in the order of its set.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllBuilt {
    http: Vec<Arc<Built>>,
    grpc: Vec<Arc<Built>>,
    ingresses: Vec<Arc<Built>>,
}

impl AllBuilt {
    /// What was left out.
    pub(crate) fn notes(&self) -> impl Iterator<Item = &Warning> {
        let Self { http, grpc, ingresses } = self;
        [ingresses, http, grpc].into_iter().flatten().flat_map(|built| &built.notes)
    }
}

/// Builds the tables; rules that would be what they were `before` are kept, with their numbers. Never
/// fails: what is wrong is left out and noted.
pub(crate) fn build(
    source: &Source<'_>,
    before: &Before<'_>,
    clusters: &mut Clusters,
) -> (RouteTable, AllBuilt) {
    let objects = source.scene.objects;
    let nothing = (Attached::default(), RouteTable::default(), AllBuilt::default());
    let (attached, table, built) = if source.attachment.stays {
        (before.attached, before.table.clone(), before.built)
    } else {
        (&nothing.0, empty_tables(source.attachment), &nothing.2)
    };
    let past = &attached.objects;
    let mut builder = Builder {
        source,
        clusters,
        table,
        edits: HashMap::new(),
        looked: Cell::new(Looks::Near),
        is_policed_anew: !objects.http_policies.is_same(&past.http_policies),
        is_far_anew: !(objects.secrets.is_same(&past.secrets)
            && objects.config_maps.is_same(&past.config_maps)
            && objects.services.is_same(&past.services)
            && objects.backend_tls_policies.is_same(&past.backend_tls_policies)),
    };
    let outcomes = &source.attachment.outcomes;
    let kept = &attached.outcomes;
    let ingresses = builder.follow(
        &Since { now: &objects.ingresses, past: &past.ingresses },
        &Since { now: &source.attachment.ingresses, past: &attached.ingresses },
        &built.ingresses,
    );
    let http = builder.follow(
        &Since { now: &objects.http_routes, past: &past.http_routes },
        &Since { now: &outcomes.http, past: &kept.http },
        &built.http,
    );
    let grpc = builder.follow(
        &Since { now: &objects.grpc_routes, past: &past.grpc_routes },
        &Since { now: &outcomes.grpc, past: &kept.grpc },
        &built.grpc,
    );
    let default = oldest_default(&objects.ingresses, &ingresses);
    (builder.finish(default), AllBuilt { http, grpc, ingresses })
}

/// The rule of the oldest default backend.
fn oldest_default(set: &ObjectSet<Ingress>, built: &[Arc<Built>]) -> Option<u32> {
    let all = set.iter().zip(built);
    let defaults = all.filter_map(|(ingress, built)| Some((&ingress.meta, built.default?)));
    let oldest = defaults.min_by_key(|(meta, _)| (meta.created_s, &meta.object));
    oldest.map(|(_, rule)| rule)
}

/// The operator's own sockets have the first tables.
const SHARED: usize = 2;

/// A table for each place where HTTP is served, with its listeners' names.
fn empty_tables(attachment: &Attachment<'_>) -> RouteTable {
    let shared = [Place::SharedHttp, Place::SharedHttps];
    let mut places: HashMap<Place, TableId> = shared.into_iter().zip((0..).map(TableId)).collect();
    let mut names: Vec<ListenerNames> = (0..SHARED).map(|_| ListenerNames::default()).collect();
    for entry in attachment.entries.iter().filter(|entry| entry.is_programmed()) {
        let is_http =
            matches!(entry.listener.protocol, ListenerProtocol::Http | ListenerProtocol::Https);
        for place in entry.places.iter().filter(|_| is_http) {
            let next = TableId(u32::try_from(names.len()).unwrap_or(u32::MAX));
            let id = *places.entry(*place).or_insert(next);
            if id == next {
                names.push(ListenerNames::default());
            }
            if let Some(names) = names.get_mut(id.0 as usize) {
                names.add(entry.listener.hostname.as_ref(), entry.listener.port);
            }
        }
    }
    let table = |names| Table { listeners: Arc::new(names), ..Table::default() };
    let tables = names.into_iter().map(table).collect();
    RouteTable { rules: Slots::default(), tables, places: Arc::new(places) }
}

impl ListenerNames {
    /// Two listeners of the same hostname at one place are one, of the first one's port.
    fn add(&mut self, hostname: Option<&HostPattern>, port: u16) {
        if self.id(hostname).is_some() {
            return;
        }
        let next = u32::try_from(self.ports.len()).unwrap_or(u32::MAX);
        self.ports.push(port);
        match hostname {
            Some(HostPattern::Exact(name)) => {
                self.exact.insert(Box::from(&**name), next);
            }
            Some(HostPattern::Suffix(name)) => {
                self.suffix.insert(Box::from(&**name), next);
            }
            None => self.any = Some(next),
        }
    }

    pub(super) fn id(&self, hostname: Option<&HostPattern>) -> Option<u32> {
        match hostname {
            Some(HostPattern::Exact(name)) => self.exact.get(&**name).copied(),
            Some(HostPattern::Suffix(name)) => self.suffix.get(&**name).copied(),
            None => self.any,
        }
    }
}

pub(super) struct Builder<'s, 'b> {
    pub(super) source: &'b Source<'s>,
    pub(super) clusters: &'b mut Clusters,
    pub(super) table: RouteTable,
    /// What changes, by table and hostname.
    edits: HashMap<(TableId, Option<HostPattern>), HostEdit>,
    /// How far the rules looked that are being built.
    looked: Cell<Looks>,
    /// Whether HttpPolicies are others than before.
    is_policed_anew: bool,
    /// Whether what rules may look at from afar is other than before.
    is_far_anew: bool,
}

/// Something, and what it was before.
struct Since<'s, T: ?Sized> {
    now: &'s T,
    past: &'s T,
}

/// A document with rules.
pub(super) trait Ruled: Object + Sized {
    /// What attaching makes of it.
    type Outcome;

    /// Compiles and files its rules.
    fn build(&self, outcome: &Self::Outcome, builder: &mut Builder<'_, '_>) -> Draft;

    /// The hostnames and tables under which its rules are filed.
    fn filed(
        &self,
        outcome: &Self::Outcome,
        builder: &Builder<'_, '_>,
    ) -> Vec<(TableId, Option<HostPattern>)>;
}

/// What rules come to, while they are built.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) rules: Vec<u32>,
    pub(super) notes: Vec<Warning>,
    pub(super) default: Option<u32>,
}

impl Draft {
    pub(super) fn note(&mut self, meta: &Meta, text: String) {
        self.notes.push(Warning { origin: Arc::clone(&meta.origin), text });
    }
}

impl<'s> Builder<'s, '_> {
    pub(super) fn objects(&self) -> &'s GatewayObjects {
        self.source.scene.objects
    }

    /// What the rules of all documents of a kind come to. Those of a document whose outcome is the very
    /// same are kept.
    fn follow<R: Ruled>(
        &mut self,
        sets: &Since<'_, ObjectSet<R>>,
        outcomes: &Since<'_, [Arc<R::Outcome>]>,
        built: &[Arc<Built>],
    ) -> Vec<Arc<Built>> {
        let mut all = Vec::with_capacity(sets.now.len());
        for edit in sets.now.edits(sets.past) {
            let (gone, new) = match edit {
                Edit::Same(was, at)
                    if Arc::ptr_eq(&outcomes.past[was], &outcomes.now[at])
                        && self.is_current(&built[was]) =>
                {
                    all.push(Arc::clone(&built[was]));
                    continue;
                }
                Edit::Same(was, at) => (Some(was), Some(at)),
                Edit::Gone(was) => (Some(was), None),
                Edit::New(at) => (None, Some(at)),
            };
            if let Some(was) = gone {
                self.take_down(&sets.past[was], &outcomes.past[was], &built[was]);
            }
            all.extend(new.map(|at| self.put_up(&sets.now[at], &outcomes.now[at])));
        }
        all
    }

    fn is_current(&self, built: &Built) -> bool {
        !(self.is_policed_anew || built.looks == Looks::Far && self.is_far_anew)
    }

    fn put_up<R: Ruled>(&mut self, document: &R, outcome: &R::Outcome) -> Arc<Built> {
        self.looked.set(Looks::Near);
        let Draft { rules, notes, default } = document.build(outcome, self);
        let looks = self.looked.get();
        Arc::new(Built { rules: rules.into(), looks, notes: notes.into(), default })
    }

    fn take_down<R: Ruled>(&mut self, document: &R, outcome: &R::Outcome, built: &Built) {
        if built.rules.is_empty() {
            return;
        }
        for spot in document.filed(outcome, self) {
            self.edits.entry(spot).or_default().gone.extend(&built.rules);
        }
        for rule in &built.rules {
            self.table.rules.remove(*rule);
        }
    }

    /// Something was looked at that neither the document nor its outcome names.
    pub(super) fn look_far(&self) {
        self.looked.set(Looks::Far);
    }

    /// Compiles a rule and gives its number.
    pub(super) fn push_rule(
        &mut self,
        (kind, meta): (ObjectKind, &Meta),
        source: RuleSource<'_>,
        draft: &mut Draft,
    ) -> u32 {
        let mut notes = Vec::new();
        let (scene, clusters) = (self.source.scene, &*self.clusters);
        let namespace = &*meta.object.namespace;
        let looked = &self.looked;
        let rule = Rule::compile(
            source,
            &mut Surroundings {
                target: &|named| {
                    looked.set(Looks::Far);
                    match scene.resolve(kind, namespace, named) {
                        Resolved::Found => clusters.find(&named.object, named.port.unwrap_or(0)),
                        _ => Target::Broken,
                    }
                },
                material: &|named, key| {
                    looked.set(Looks::Far);
                    let may = scene.may_read(kind, namespace, named);
                    backend_tls::material(scene.objects, named, key).filter(|_| may)
                },
                kept: self.source.kept,
                notes: &mut notes,
            },
        );
        for note in notes {
            draft.note(meta, note);
        }
        let number = self.table.rules.insert(rule);
        draft.rules.push(number);
        number
    }

    /// Files a match under a hostname of a table.
    pub(super) fn file(
        &mut self,
        at: (TableId, Option<HostPattern>),
        path: PathMatch,
        candidate: Candidate,
    ) {
        self.edits.entry(at).or_default().new.push((path, candidate));
    }

    /// The tables with everything filed.
    fn finish(self, default: Option<u32>) -> RouteTable {
        let Self { mut table, edits, .. } = self;
        let RouteTable { rules, tables, .. } = &mut table;
        for ((id, host), edit) in edits {
            let Some(table) = tables.get_mut(id.0 as usize) else { continue };
            let (names, name) = match &host {
                None => {
                    table.any = Arc::new(table.any.edited(edit, rules));
                    continue;
                }
                Some(HostPattern::Exact(name)) => (&mut table.exact, name),
                Some(HostPattern::Suffix(name)) => (&mut table.suffix, name),
            };
            let edited = match names.get(name) {
                Some((_, before)) => before.edited(edit, rules),
                None => HostRoutes::default().edited(edit, rules),
            };
            names.set(name, edited);
        }
        for table in tables.iter_mut().take(SHARED) {
            table.default = default;
        }
        table
    }
}
