//! nginx's and haproxy's configurations for the same hosts.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::objects::{Backends, host};

/// What a peer serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hosts {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) origin: SocketAddr,
    pub(crate) routes: usize,
    pub(crate) backends: Backends,
    /// The first host's answers tell it.
    pub(crate) version: u64,
}

impl Hosts {
    fn services(&self) -> usize {
        if self.backends == Backends::Own { self.routes } else { 1 }
    }
}

/// Writes `nginx.conf` below a directory, which holds `cert.pem`.
pub(crate) fn write_nginx(directory: &Path, hosts: &Hosts) -> anyhow::Result<()> {
    let Hosts { http, https, origin, routes, backends, version } = hosts;
    let at = directory.display();
    let mut text = format!(
        "daemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {at}/nginx.pid;\n\
         error_log {at}/error.log warn;\nevents {{ worker_connections 19000; }}\nhttp {{\n\
         access_log off;\nserver_names_hash_max_size 131072;\nserver_names_hash_bucket_size 128;\n\
         keepalive_timeout 600s;\nkeepalive_requests 1000000000;\n\
         ssl_certificate {at}/cert.pem;\nssl_certificate_key {at}/cert.pem;\n"
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "{kind}_temp_path {at}/{kind};")?;
    }
    for service in 0..hosts.services() {
        writeln!(text, "upstream s{service} {{ server {origin}; keepalive 16; }}")?;
    }
    for route in 0..*routes {
        let (name, service) = (host(route), backends.service(route));
        let told =
            if route == 0 { format!("add_header x-version {version};") } else { String::new() };
        writeln!(
            text,
            "server {{ listen {http}; listen {https} ssl; server_name {name}; location / {{ \
             proxy_pass http://{service}; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
             proxy_set_header Host $host; proxy_set_header X-Forwarded-For \
             $proxy_add_x_forwarded_for; {told} }} }}"
        )?;
    }
    text.push_str("}\n");
    Ok(std::fs::write(directory.join("nginx.conf"), text)?)
}

/// Writes `haproxy.cfg` and its map of hosts below a directory, which holds `cert.pem`. The options
/// are those with which a reload loses least: sockets are handed over, idle connections stay for one
/// more answer.
pub(crate) fn write_haproxy(directory: &Path, hosts: &Hosts) -> anyhow::Result<()> {
    let Hosts { http, https, origin, routes, backends, version } = hosts;
    let at = directory.display();
    let first = host(0);
    let mut text = format!(
        "global\n  maxconn 9900\n  nbthread 1\n  stats socket {at}/socket expose-fd listeners\n\
         defaults\n  mode http\n  option idle-close-on-response\n  timeout connect 5s\n  \
         timeout client 600s\n  timeout server 600s\n  timeout http-request 10s\n  \
         timeout http-keep-alive 600s\n  option forwardfor\nfrontend all\n  bind {http}\n  \
         bind {https} ssl crt {at}/cert.pem\n  http-request set-var(txn.host) hdr(host),lower\n  \
         http-response set-header x-version {version} if {{ var(txn.host) -m str {first} }}\n  \
         use_backend %[var(txn.host),map({at}/hosts.map)]\n"
    );
    for service in 0..hosts.services() {
        writeln!(text, "backend s{service}\n  server one {origin}")?;
    }
    let mut map = String::new();
    for route in 0..*routes {
        writeln!(map, "{} {}", host(route), backends.service(route))?;
    }
    std::fs::write(directory.join("hosts.map"), map)?;
    Ok(std::fs::write(directory.join("haproxy.cfg"), text)?)
}

#[cfg(test)]
mod tests;
