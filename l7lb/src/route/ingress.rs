//! Rules of Ingresses: on the operator's own sockets, for every listener.

use model::gateway::{HostPattern, Ingress, IngressBackend, IngressPath, ObjectKind, PortRef};

use super::build::{Builder, Entry};
use super::{Candidate, EVERY_LISTENER, Scheme};
use crate::attach::settings_of;
use crate::rule::{IngressSource, RuleSource, Share, Target, Timeouts};
use crate::socket::TableId;

impl Builder<'_, '_> {
    /// Files the paths of all Ingresses of ours; gives the rule of the oldest default backend.
    pub(super) fn ingresses(&mut self) -> Option<u32> {
        let source = self.source;
        let ours = source.scene.objects.ingresses.iter().zip(&source.attachment.ingresses);
        let mut defaults = Vec::new();
        for (ingress, is_ours) in ours {
            if !is_ours {
                let class = ingress.class.as_deref().unwrap_or("");
                let text = format!("the Ingress class `{class}` is not served here");
                self.warn(&ingress.meta, text);
                continue;
            }
            self.paths(ingress);
            if let Some(backend) = &ingress.default_backend {
                let rule = self.rule_of(ingress, (None, "default"), backend);
                defaults.push((ingress.meta.created_s, &ingress.meta.object, rule));
            }
        }
        defaults.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        defaults.first().map(|default| default.2)
    }

    fn paths(&mut self, ingress: &Ingress) {
        let tables = [Scheme::Http, Scheme::Https].map(TableId::shared);
        for (place, path) in ingress.paths.iter().enumerate() {
            let name = place.to_string();
            let rule = self.rule_of(ingress, (Some(path), &name), &path.backend);
            self.entries.push(Entry {
                tables: tables.to_vec(),
                host: path.host.clone(),
                path: path.path.clone(),
                candidate: Candidate {
                    listener: EVERY_LISTENER,
                    one_label: matches!(path.host, Some(HostPattern::Suffix(_))),
                    method: None,
                    headers: Box::default(),
                    query: Box::default(),
                    rule,
                },
                created_s: ingress.meta.created_s,
                object: ingress.meta.object.clone(),
                place: (place, 0),
            });
        }
    }

    fn rule_of(
        &mut self,
        ingress: &Ingress,
        (path, place): (Option<&IngressPath>, &str),
        backend: &IngressBackend,
    ) -> u32 {
        let meta = &ingress.meta;
        let kind = (ObjectKind::Ingress, meta, None);
        let settings = settings_of(self.objects(), kind, &[], &ingress.settings);
        let target = self.target(ingress, backend);
        let source = RuleSource {
            id: format!("ingress/{}#{place}", meta.object).into(),
            filters: &[],
            backends: vec![(Share { target, weight: 1 }, &[])],
            timeouts: Timeouts::default(),
            retry: None,
            session: None,
            client: None,
            settings: &settings,
            ingress: Some(IngressSource { ingress, path }),
        };
        self.push_rule((ObjectKind::Ingress, meta), source)
    }

    fn target(&mut self, ingress: &Ingress, backend: &IngressBackend) -> Target {
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
            self.warn(&ingress.meta, text);
            return Target::Absent;
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
