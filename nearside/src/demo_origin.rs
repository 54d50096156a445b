//! `nearside demo-origin`: a real HTTP origin that says which site it stands for.

use std::convert::Infallible;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use crate::cli::DemoOriginArgs;
use crate::{Outcome, lifecycle};

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn serve(args: DemoOriginArgs) -> anyhow::Result<Outcome> {
    if !args.listen.ip().is_loopback() {
        bail!(
            "`{}` is not a loopback address\n  help: this origin is for trying things out; use 127.0.0.0/8 or ::1",
            args.listen
        );
    }
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on `{}`", args.listen))?;
    let accept = async {
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            let site = args.site.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request| greet(site.clone(), request));
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(socket), answer).await;
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = lifecycle::stop_signal() => {}
    }
    Ok(Outcome::Yes)
}

async fn greet(
    site: String,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request.headers().get(hyper::header::HOST);
    let host = host.and_then(|value| value.to_str().ok()).unwrap_or("-");
    let text = format!("{host}{} served by an origin at {site}\n", request.uri().path());
    Ok(Response::new(Full::new(Bytes::from(text))))
}
