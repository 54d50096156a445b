//! Which resources the server has: the built-in ones that a gateway meets, and those of CRDs.

use std::sync::Arc;

use serde_json::Value;

use crate::refusal::Refusal;
use crate::schema::Schema;

/// One resource.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    /// API group, empty for the core.
    pub(crate) group: String,
    /// Versions served, the preferred one first.
    pub(crate) versions: Vec<String>,
    /// `services`.
    pub(crate) plural: String,
    /// `Service`.
    pub(crate) kind: String,
    /// `svc`, for people who type.
    pub(crate) short_names: Vec<String>,
    /// Groups of resources that are asked for at once.
    pub(crate) categories: Vec<String>,
    /// What is shown beside the name, by version.
    columns: Vec<(String, Vec<Column>)>,
    /// Whether objects live in a namespace.
    pub(crate) namespaced: bool,
    /// Whether `/status` is a resource of its own.
    pub(crate) has_status: bool,
    /// Whether `metadata.generation` counts.
    pub(crate) has_generation: bool,
    /// Schema by version; built-in resources have none here.
    pub(crate) schemas: Vec<(String, Schema)>,
}

/// A column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// `string`, `date`, ...
    pub(crate) kind: String,
    /// `.status.addresses[*].value`.
    pub(crate) path: String,
    /// Above 0 only in wide tables.
    pub(crate) priority: i64,
}

impl Column {
    pub(crate) fn new(name: &str, kind: &str, path: &str) -> Self {
        let [name, kind, path] = [name, kind, path].map(str::to_owned);
        Self { name, kind, path, priority: 0 }
    }

    fn of_crd(column: &Value) -> Option<Self> {
        let text = |field: &str| column[field].as_str();
        let read = Self::new(text("name")?, text("type")?, text("jsonPath")?);
        Some(Self { priority: column["priority"].as_i64().unwrap_or_default(), ..read })
    }
}

impl Resource {
    /// What is shown beside the name: what the CRD says, or the age alone.
    pub(crate) fn columns(&self, version: &str) -> Vec<Column> {
        let found = self.columns.iter().find(|(of, columns)| of == version && !columns.is_empty());
        let age = || vec![Column::new("Age", "date", ".metadata.creationTimestamp")];
        found.map_or_else(age, |(_, columns)| columns.clone())
    }

    /// `group/version`, or the version alone in the core group.
    pub(crate) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// The schema of a version.
    pub(crate) fn schema(&self, version: &str) -> Option<&Schema> {
        self.schemas.iter().find(|(of, _)| of == version).map(|(_, schema)| schema)
    }

    fn from_crd(crd: &Value) -> Option<Self> {
        let spec = &crd["spec"];
        let mut has_status = false;
        let (mut versions, mut schemas, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for version in spec["versions"].as_array()? {
            if version["served"] != true {
                continue;
            }
            let name = version["name"].as_str()?.to_owned();
            has_status |= version["subresources"]["status"].is_object();
            schemas.push((name.clone(), Schema::new(&version["schema"]["openAPIV3Schema"])));
            let shown = version["additionalPrinterColumns"].as_array();
            let shown = shown.into_iter().flatten().filter_map(Column::of_crd);
            columns.push((name.clone(), shown.collect()));
            versions.push(name);
        }
        let names = |field: &str| -> Vec<String> {
            let all = spec["names"][field].as_array().into_iter().flatten();
            all.filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        Some(Self {
            short_names: names("shortNames"),
            categories: names("categories"),
            columns,
            group: spec["group"].as_str()?.to_owned(),
            versions,
            plural: spec["names"]["plural"].as_str()?.to_owned(),
            kind: spec["names"]["kind"].as_str()?.to_owned(),
            namespaced: spec["scope"] == "Namespaced",
            has_status,
            has_generation: true,
            schemas,
        })
    }
}

/// Group, version, plural, kind, and which of namespaced (`n`), status (`s`), generation (`g`) hold.
const BUILT_IN: &[(&str, &str, &str, &str, &str)] = &[
    ("", "v1", "namespaces", "Namespace", "s"),
    ("", "v1", "nodes", "Node", "s"),
    ("", "v1", "services", "Service", "ns"),
    ("", "v1", "secrets", "Secret", "n"),
    ("", "v1", "configmaps", "ConfigMap", "n"),
    ("", "v1", "pods", "Pod", "ns"),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "ng"),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", "nsg"),
    ("networking.k8s.io", "v1", "ingressclasses", "IngressClass", "g"),
    ("coordination.k8s.io", "v1", "leases", "Lease", "n"),
    ("events.k8s.io", "v1", "events", "Event", "n"),
    ("apps", "v1", "deployments", "Deployment", "nsg"),
    (CRD_GROUP, "v1", "customresourcedefinitions", "CustomResourceDefinition", "sg"),
];
/// Short names of built-in resources.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("configmaps", "cm"),
    ("customresourcedefinitions", "crd"),
    ("customresourcedefinitions", "crds"),
    ("deployments", "deploy"),
    ("events", "ev"),
    ("ingresses", "ing"),
    ("namespaces", "ns"),
    ("nodes", "no"),
    ("pods", "po"),
    ("services", "svc"),
];

fn short_names(plural: &str) -> Vec<String> {
    let own = SHORT_NAMES.iter().filter(|(of, _)| *of == plural);
    own.map(|(_, name)| (*name).to_owned()).collect()
}

/// The group of CRDs themselves.
pub(crate) const CRD_GROUP: &str = "apiextensions.k8s.io";

/// All resources of a server.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    resources: Vec<Arc<Resource>>,
}

impl Catalog {
    /// The built-in ones.
    pub(crate) fn built_in() -> Self {
        let resource =
            |&(group, version, plural, kind, traits): &(&str, &str, &str, &str, &str)| Resource {
                group: group.to_owned(),
                versions: vec![version.to_owned()],
                plural: plural.to_owned(),
                kind: kind.to_owned(),
                short_names: short_names(plural),
                categories: Vec::new(),
                columns: Vec::new(),
                namespaced: traits.contains('n'),
                has_status: traits.contains('s'),
                has_generation: traits.contains('g'),
                schemas: Vec::new(),
            };
        Self { resources: BUILT_IN.iter().map(resource).map(Arc::new).collect() }
    }

    /// Adds or replaces the resource that a CRD declares.
    pub(crate) fn add_crd(&mut self, crd: &Value) -> Result<(), Refusal> {
        let malformed = || Refusal::bad_request("the CustomResourceDefinition is malformed");
        let resource = Resource::from_crd(crd).ok_or_else(malformed)?;
        self.remove(&resource.group, &resource.plural);
        self.resources.push(Arc::new(resource));
        Ok(())
    }

    /// Takes the resource of a deleted CRD away.
    pub(crate) fn remove(&mut self, group: &str, plural: &str) {
        self.resources.retain(|one| one.group != group || one.plural != plural);
    }

    /// The resource at `group/version/plural`.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.iter().find(|one| {
            one.group == group && one.plural == plural && one.versions.iter().any(|v| v == version)
        })
    }

    /// The resource of an object's `apiVersion` and `kind`, with the version.
    pub(crate) fn of_object(&self, object: &Value) -> Option<(&Arc<Resource>, String)> {
        let api_version = object["apiVersion"].as_str()?;
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let kind = object["kind"].as_str()?;
        let found = self.resources.iter().find(|one| one.group == group && one.kind == kind)?;
        Some((found, version.to_owned()))
    }

    /// Every resource.
    pub(crate) fn all(&self) -> &[Arc<Resource>] {
        &self.resources
    }
}
