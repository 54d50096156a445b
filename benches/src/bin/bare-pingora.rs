//! `bare-pingora`: the engine alone, one thread, every request to one origin. What our gateway
//! adds to it is the gateway's cost.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use benches::loopback_only;
use clap::Parser;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Proxies everything to one origin, on loopback only.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen
    #[arg(default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// The origin
    #[arg(default_value = "127.0.0.1:8090")]
    origin: SocketAddr,
}

struct Bare {
    origin: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _context: &mut Self::CTX,
    ) -> pingora_core::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.origin, false, String::new())))
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let listen = loopback_only(options.listen)?;
    let origin = loopback_only(options.origin)?;
    let configuration = ServerConf {
        threads: 1,
        // Nobody waits for the end of a floor.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), Bare { origin });
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    server.run_forever();
}
