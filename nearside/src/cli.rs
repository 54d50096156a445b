//! The command line, as people type it.

mod geo;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use model::record::RecordType;

pub(crate) use geo::{GeoArgs, GeoBuildArgs, GeoCommand, GeoDetail, GeoLookupArgs};

/// Latency-aware edge traffic gateway and global traffic manager.
///
/// Exit status: 0 yes, 1 the answer is no, 2 could not run.
#[derive(Debug, Parser)]
#[command(name = "nearside", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Every role in one process: controller, DNS and a gateway for each local site.
    Run(RunArgs),
    /// Only the DNS scheduler, fed by a controller and its own state directory.
    Dns(DnsArgs),
    /// Only the gateway of one site.
    Lb(LbArgs),
    /// Only the controller.
    Controller(ControllerArgs),
    /// Check documents; prints every error with its place.
    Check(CheckArgs),
    /// Why a client gets the sites it gets.
    Explain(ExplainArgs),
    /// What a gateway would do with a request, and by which rule.
    ExplainRoute(ExplainRouteArgs),
    /// What a running process knows: generations, sites, services.
    Status(StatusArgs),
    /// Stop new traffic to a site.
    Drain(DrainArgs),
    /// Take a site's drain back.
    Undrain(DrainArgs),
    /// Geo databases: build a table, look an address up.
    Geo(GeoArgs),
    /// A small HTTP origin for trying things out.
    DemoOrigin(DemoOriginArgs),
}

/// Where the admin API of a running process is.
#[derive(Debug, Clone, Args)]
pub(crate) struct AdminTarget {
    /// Admin address of the running process.
    #[arg(long, env = "NEARSIDE_ADMIN", default_value = "127.0.0.1:9900", value_name = "ADDR")]
    pub(crate) admin: SocketAddr,
}

/// Where the admin API listens.
#[derive(Debug, Clone, Args)]
pub(crate) struct AdminListen {
    /// Admin API and /metrics. Anyone who reaches it can drain sites: keep it on loopback.
    #[arg(long, env = "NEARSIDE_ADMIN", default_value = "127.0.0.1:9900", value_name = "ADDR")]
    pub(crate) admin: SocketAddr,
}

/// Where DNS listens.
#[derive(Debug, Clone, Args)]
pub(crate) struct DnsListen {
    /// DNS address, UDP and TCP; repeat for more (default: port 5300 of 127.0.0.1 and, where there is
    /// IPv6, of ::1).
    #[arg(long = "dns", env = "NEARSIDE_DNS", value_delimiter = ',', value_name = "ADDR")]
    pub(crate) dns: Vec<SocketAddr>,
    /// UDP workers (default: one per core).
    #[arg(long, value_name = "N")]
    pub(crate) dns_workers: Option<usize>,
    /// How queries are spread over the workers: `cpu` for network cards with a queue for each CPU.
    #[arg(long, value_enum, default_value_t = DnsSpread::Hash)]
    pub(crate) dns_spread: DnsSpread,
    /// How this server names itself to who asks by NSID (default: not at all).
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) nsid: String,
    /// File with the secrets of DNS cookies, the same on every node of an address, the newest first
    /// (default: drawn at the start).
    #[arg(long, value_name = "FILE")]
    pub(crate) cookie_secret_file: Option<PathBuf>,
    /// Recursive resolver that aliases are resolved by; repeat for more (default: the name servers of
    /// /etc/resolv.conf; without any, aliases fail).
    #[arg(
        long,
        env = "NEARSIDE_RESOLVER",
        value_delimiter = ',',
        value_name = "ADDR",
        value_parser = crate::resolvers::parse
    )]
    pub(crate) resolver: Vec<SocketAddr>,
}

/// How the kernel chooses the worker for a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DnsSpread {
    /// By the client's address and port
    Hash,
    /// By the CPU that received it; each worker is bound to one
    Cpu,
}

/// HTTPDNS, for clients whose resolver is nowhere near them.
#[derive(Debug, Clone, Args)]
pub(crate) struct HttpDnsListen {
    /// HTTPDNS address (`/resolve`, `/{account}/d`, `/d`, `/go/NAME/path`); repeat for more
    /// (default: off).
    #[arg(long, env = "NEARSIDE_HTTPDNS", value_delimiter = ',', value_name = "ADDR")]
    pub(crate) httpdns: Vec<SocketAddr>,
    /// File with a secret; when given, HTTPDNS answers only requests signed with it.
    #[arg(long, value_name = "FILE")]
    pub(crate) httpdns_secret_file: Option<PathBuf>,
    /// The port that `/go` sends clients to on the chosen site.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    pub(crate) httpdns_redirect_port: u16,
}

/// Ports and limits of gateways.
#[derive(Debug, Clone, Args)]
pub(crate) struct GatewayListen {
    /// HTTP port on the site's addresses.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    pub(crate) http_port: u16,
    /// HTTPS port on the site's addresses.
    #[arg(long, default_value_t = 8443, value_name = "PORT")]
    pub(crate) https_port: u16,
    /// Give each Gateway an address of its own out of these prefixes, with the ports that its
    /// listeners name (default: all share the site's addresses). The addresses must be this machine's.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) gateway_addresses: Vec<ipnet::IpNet>,
    /// Where the JSON access log goes: a file, `-` for stdout, or `off`.
    #[arg(long, default_value = "off", value_name = "FILE")]
    pub(crate) access_log: String,
    /// Balancers in front, whose connections must begin with a PROXY header (version 1 or 2).
    #[arg(long, env = "NEARSIDE_PROXY_PROTOCOL_FROM", value_delimiter = ',', value_name = "CIDR")]
    pub(crate) proxy_protocol_from: Vec<ipnet::IpNet>,
    /// File with the secrets of TLS session tickets, the same on every node of a site, the newest
    /// first (default: drawn at the start).
    #[arg(long, value_name = "FILE")]
    pub(crate) ticket_secret_file: Option<PathBuf>,
    /// The Kubernetes node that the gateway is on, for Services that prefer near endpoints.
    #[arg(long, env = "NEARSIDE_NODE", value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// The zone of that node.
    #[arg(long, env = "NEARSIDE_ZONE", value_name = "NAME")]
    pub(crate) zone: Option<String>,
    /// How long a stopping gateway waits for requests, WebSockets and streams under way.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub(crate) drain_deadline: u64,
    /// Count requests by route in /metrics: five series for each of at most N routes, the others
    /// together (default: routes are not counted).
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) route_metrics: usize,
}

/// Geo data.
#[derive(Debug, Clone, Args)]
pub(crate) struct GeoSource {
    /// Table made by `nearside geo build` (default: the built-in world table).
    #[arg(long, env = "NEARSIDE_GEO", value_name = "FILE")]
    pub(crate) geo: Option<PathBuf>,
}

/// What a controller is told when its store was lost.
#[derive(Debug, Clone, Args)]
pub(crate) struct Recovery {
    /// The least epoch of what is published. Raise it above the nodes' when a store was lost: nodes
    /// refuse anything older than what they serve.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) epoch_min: u32,
}

/// How a node and a controller talk.
#[derive(Debug, Clone, Args)]
pub(crate) struct CourierTarget {
    /// The controller's courier address.
    #[arg(long, value_name = "ADDR")]
    pub(crate) controller: Option<SocketAddr>,
    /// File with the token both sides share.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Directory of documents; edits are live.
    pub(crate) directory: PathBuf,
    /// Where snapshots, drains and generations are kept (default: nothing is kept).
    #[arg(long, env = "NEARSIDE_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) dns: DnsListen,
    #[command(flatten)]
    pub(crate) httpdns: HttpDnsListen,
    /// Hostname under which this process's gateways serve HTTPDNS as well.
    #[arg(long, env = "NEARSIDE_HTTPDNS_HOST", value_name = "NAME")]
    pub(crate) httpdns_host: Option<String>,
    #[command(flatten)]
    pub(crate) gateway: GatewayListen,
    #[command(flatten)]
    pub(crate) admin: AdminListen,
    #[command(flatten)]
    pub(crate) recovery: Recovery,
    #[command(flatten)]
    pub(crate) geo: GeoSource,
}

#[derive(Debug, Args)]
pub(crate) struct DnsArgs {
    /// Where the last good snapshot is kept.
    #[arg(long, env = "NEARSIDE_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: PathBuf,
    #[command(flatten)]
    pub(crate) courier: CourierTarget,
    #[command(flatten)]
    pub(crate) dns: DnsListen,
    #[command(flatten)]
    pub(crate) httpdns: HttpDnsListen,
    #[command(flatten)]
    pub(crate) admin: AdminListen,
}

/// An API server that is watched besides the directory, or instead of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterAccess {
    /// Watch the API server of this kubeconfig's current context.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Watch the API server of the cluster this runs in, as the pod's service account.
    #[arg(long, conflicts_with = "kubeconfig")]
    pub(crate) in_cluster: bool,
}

/// Services of `type: ExternalName`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExternalNameArgs {
    /// Serve Services of type ExternalName (default: they have no endpoints). Whoever may write a
    /// Service then chooses where the gateway connects to.
    #[arg(long)]
    pub(crate) external_names: bool,
    /// Recursive resolver that external names are resolved by; repeat for more (default: the name
    /// servers of /etc/resolv.conf).
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "ADDR",
        requires = "external_names",
        value_parser = crate::resolvers::parse
    )]
    pub(crate) external_name_resolver: Vec<SocketAddr>,
    /// Addresses that external names may lead to although they are this machine's, the link's or a
    /// metadata service's.
    #[arg(long, value_delimiter = ',', value_name = "CIDR", requires = "external_names")]
    pub(crate) external_name_permit: Vec<ipnet::IpNet>,
}

#[derive(Debug, Args)]
pub(crate) struct LbArgs {
    /// The site this gateway belongs to.
    #[arg(long, value_name = "NAME")]
    pub(crate) site: String,
    /// Directory of the site's documents; edits are live.
    #[arg(required_unless_present_any = ["documents", "kubeconfig", "in_cluster"])]
    pub(crate) directory: Option<PathBuf>,
    /// The same as DIRECTORY.
    #[arg(long, value_name = "DIR", conflicts_with = "directory")]
    pub(crate) documents: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterAccess,
    #[command(flatten)]
    pub(crate) external: ExternalNameArgs,
    /// Where what was watched at the API server is kept: a restart serves from it without the
    /// server (default: nothing is kept).
    #[arg(long, env = "NEARSIDE_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Listen on these addresses instead of the site's own.
    #[arg(long = "listen", value_name = "IP")]
    pub(crate) listen: Vec<IpAddr>,
    /// Unix socket for restarts without loss: take the open sockets over from the process that
    /// waits there, then wait there for the next one.
    #[arg(long, value_name = "FILE")]
    pub(crate) handover: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) courier: CourierTarget,
    #[command(flatten)]
    pub(crate) gateway: GatewayListen,
    #[command(flatten)]
    pub(crate) admin: AdminListen,
}

#[derive(Debug, Args)]
pub(crate) struct ControllerArgs {
    /// Directory of documents; edits are live.
    pub(crate) directory: PathBuf,
    /// Where snapshots, drains and generations are kept.
    #[arg(long, env = "NEARSIDE_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: PathBuf,
    /// Where nodes fetch snapshots and post reports.
    #[arg(long, default_value = "127.0.0.1:9901", value_name = "ADDR")]
    pub(crate) courier: SocketAddr,
    /// File with the token nodes must show.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) admin: AdminListen,
    #[command(flatten)]
    pub(crate) recovery: Recovery,
    #[command(flatten)]
    pub(crate) geo: GeoSource,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Directory or file of documents.
    pub(crate) path: PathBuf,
    /// Also ask for every client of this name in every state of health, and prove the scopes of the
    /// answers disjoint, right and minimal.
    #[arg(long, value_name = "NAME")]
    pub(crate) audit: Option<String>,
    #[command(flatten)]
    pub(crate) of_audit: AuditArgs,
    /// HTTP port of the gateways whose statuses are foretold.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    pub(crate) http_port: u16,
    /// Their HTTPS port.
    #[arg(long, default_value_t = 8443, value_name = "PORT")]
    pub(crate) https_port: u16,
    /// The prefixes that their Gateways have addresses of their own of.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) gateway_addresses: Vec<ipnet::IpNet>,
    #[command(flatten)]
    pub(crate) geo: GeoSource,
}

/// How an audit is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct AuditArgs {
    /// The type that clients ask for.
    #[arg(long = "type", value_enum, ignore_case = true, default_value_t = AddressType::A, requires = "audit")]
    pub(crate) record_type: AddressType,
    /// JSON instead of text.
    #[arg(long, requires = "audit")]
    pub(crate) json: bool,
}

/// The types of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AddressType {
    /// IPv4.
    #[value(name = "A")]
    A,
    /// IPv6.
    #[value(name = "AAAA")]
    Aaaa,
}

impl AddressType {
    /// As in DNS.
    pub(crate) fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The name asked for.
    pub(crate) name: String,
    /// The address the query comes from.
    #[arg(long, value_name = "IP")]
    pub(crate) client: Option<IpAddr>,
    /// The client subnet the resolver would send.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) ecs: Option<ipnet::IpNet>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Explain documents without a running process; every site counts as up and ready.
    #[arg(long, value_name = "DIR")]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) geo: GeoSource,
    #[command(flatten)]
    pub(crate) admin: AdminTarget,
    /// JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainRouteArgs {
    /// The request, as in `GET https://host/path`; without a method it is a GET.
    pub(crate) request: String,
    /// A header of the request; repeat for more. `Host` stands instead of the address's host, whose
    /// name then only opens the connection.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// The address that the request comes from.
    #[arg(long, value_name = "IP")]
    pub(crate) client: Option<IpAddr>,
    /// Whose gateway, where there are several.
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Option<String>,
    /// Explain documents without a running process; every endpoint counts as healthy.
    #[arg(long, value_name = "DIR")]
    pub(crate) documents: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) admin: AdminTarget,
    /// JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a client is, instead of its address.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Place")]
pub(crate) struct PlaceArgs {
    /// Latitude in degrees.
    #[arg(long, value_name = "DEGREES", allow_hyphen_values = true)]
    lat: Option<String>,
    /// Longitude in degrees.
    #[arg(long, value_name = "DEGREES", allow_hyphen_values = true)]
    lon: Option<String>,
    /// A cell id of a LocaleMap.
    #[arg(long, value_name = "ID")]
    cell: Option<String>,
    /// An area of a LocaleMap.
    #[arg(long, value_name = "NAME")]
    area: Option<String>,
    /// ISO 3166-1.
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    /// ISO 3166-2.
    #[arg(long, value_name = "CODE")]
    subdivision: Option<String>,
    /// The carrier: a group (`ct`) or an AS.
    #[arg(long, value_name = "NAME")]
    isp: Option<String>,
    /// `realtime`, `interactive` or `bulk` instead of the service's tiers.
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
}

impl PlaceArgs {
    /// By the names that queries have for them.
    pub(crate) fn of(&self, key: &str) -> Option<&String> {
        let Self { lat, lon, cell, area, country, subdivision, isp, class } = self;
        match key {
            "lat" => lat.as_ref(),
            "lon" => lon.as_ref(),
            "cell" => cell.as_ref(),
            "area" => area.as_ref(),
            "country" => country.as_ref(),
            "subdivision" => subdivision.as_ref(),
            "isp" => isp.as_ref(),
            "class" => class.as_ref(),
            _ => None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) admin: AdminTarget,
    /// JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// The site.
    pub(crate) site: String,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) admin: AdminTarget,
}

#[derive(Debug, Args)]
pub(crate) struct DemoOriginArgs {
    /// Address to listen on; loopback only.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// What it calls itself in its answers.
    #[arg(long, value_name = "NAME")]
    pub(crate) site: String,
}
