//! Rules of Ingresses: on the operator's own sockets, for every listener.

use model::gateway::{HostPattern, Ingress, IngressBackend, IngressPath, ObjectKind, PortRef};

use super::build::{Builder, Draft, Ruled};
use super::{Candidate, EVERY_LISTENER, Scheme};
use crate::attach::{IngressOutcome, settings_of};
use crate::rule::{IngressSource, Order, RuleSource, Share, Target, Timeouts};
use crate::socket::TableId;

impl Ruled for Ingress {
    type Outcome = IngressOutcome;

    fn build(&self, outcome: &IngressOutcome, builder: &mut Builder<'_, '_>) -> Draft {
        let mut draft = Draft::default();
        if !outcome.is_ours {
            let class = self.class.as_deref().unwrap_or("");
            draft.note(&self.meta, format!("the Ingress class `{class}` is not served here"));
            return draft;
        }
        for (place, path) in self.paths.iter().enumerate() {
            let rule = builder.rule_of(self, Some((place, path)), &path.backend, &mut draft);
            for table in TABLES {
                let candidate = Candidate {
                    listener: EVERY_LISTENER,
                    one_label: matches!(path.host, Some(HostPattern::Suffix(_))),
                    method: None,
                    headers: Box::default(),
                    query: Box::default(),
                    rule,
                    place: 0,
                };
                let at = (TableId::shared(table), path.host.clone());
                builder.file(at, path.path.clone(), candidate);
            }
        }
        if let Some(backend) = &self.default_backend {
            draft.default = Some(builder.rule_of(self, None, backend, &mut draft));
        }
        draft
    }

    fn filed(
        &self,
        _: &IngressOutcome,
        _: &Builder<'_, '_>,
    ) -> Vec<(TableId, Option<HostPattern>)> {
        let both =
            |host: Option<HostPattern>| TABLES.map(|table| (TableId::shared(table), host.clone()));
        self.paths.iter().flat_map(|path| both(path.host.clone())).collect()
    }
}

/// Where Ingresses are served.
const TABLES: [Scheme; 2] = [Scheme::Http, Scheme::Https];

impl Builder<'_, '_> {
    fn rule_of(
        &mut self,
        ingress: &Ingress,
        path: Option<(usize, &IngressPath)>,
        backend: &IngressBackend,
        draft: &mut Draft,
    ) -> u32 {
        let meta = &ingress.meta;
        let kind = (ObjectKind::Ingress, meta, None);
        let settings = settings_of(self.objects(), kind, &[], &ingress.settings);
        let target = self.target(ingress, backend, draft);
        let place = path.map_or_else(|| "default".to_owned(), |(place, _)| place.to_string());
        let source = RuleSource {
            id: format!("ingress/{}#{place}", meta.object).into(),
            order: Order {
                created_s: meta.created_s,
                object: meta.object.clone(),
                place: path.map_or(u32::MAX, |(place, _)| u32::try_from(place).unwrap_or(u32::MAX)),
                kind: ObjectKind::Ingress,
            },
            filters: &[],
            backends: vec![(Share { target, weight: 1 }, &[])],
            timeouts: Timeouts::default(),
            retry: None,
            session: None,
            client: None,
            settings: &settings,
            ingress: Some(IngressSource { ingress, path: path.map(|(_, path)| path) }),
        };
        self.push_rule((ObjectKind::Ingress, meta), source, draft)
    }

    fn target(&mut self, ingress: &Ingress, backend: &IngressBackend, draft: &mut Draft) -> Target {
        let target = self.clusters.of_port(&backend.service, &backend.port);
        if target == Target::Broken {
            let port = match &backend.port {
                PortRef::Number(number) => number.to_string(),
                PortRef::Name(name) => name.to_string(),
            };
            let text = format!(
                "no Service `{}` with port `{port}` (requests for it fail)",
                backend.service
            );
            draft.note(&ingress.meta, text);
            return Target::Absent;
        }
        if matches!(ingress.backend_protocol.as_deref(), Some("HTTPS" | "GRPCS")) {
            // A BackendTLSPolicy for the Service goes before the annotation.
            self.look_far();
        }
        match ingress.backend_protocol.as_deref() {
            Some("GRPC") => self.clusters.speaking_http2(target),
            Some("HTTPS") => self.clusters.speaking_tls(target, self.source.kept),
            Some("GRPCS") => {
                let target = self.clusters.speaking_tls(target, self.source.kept);
                self.clusters.speaking_http2(target)
            }
            _ => target,
        }
    }
}
