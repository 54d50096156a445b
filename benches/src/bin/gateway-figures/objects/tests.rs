//! What is written is what Nearside reads.

use std::sync::Arc;

use model::document::{SourceFile, load};

use super::*;
use crate::client::certificate;

#[test]
fn every_object_is_read_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let origin = "127.0.0.1:80".parse().unwrap();
    let mut all = ground(&certificate("*.bench.test").unwrap());
    all.push(gateway(&["toggled.bench.test"]));
    all.remove(1);
    for backends in [Backends::Shared, Backends::Own] {
        let mut objects = all.clone();
        objects.extend(world(5, backends, origin));
        objects.push(numbered(0, backends, 7));
        write(directory.path(), &objects).unwrap();
        let files: Vec<SourceFile> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap().into();
                SourceFile { path: Arc::from(path.to_string_lossy().as_ref()), text }
            })
            .collect();
        let read = load(&files).map_err(|findings| format!("{findings:?}")).unwrap().gateway;
        assert_eq!(read.http_routes.len(), 5);
        assert_eq!(read.services.len(), if backends == Backends::Own { 5 } else { 1 });
        assert_eq!((read.gateways.len(), read.secrets.len()), (1, 1));
    }
}
