//! `nearside geo`, as people type it.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::GeoSource;

#[derive(Debug, Args)]
pub(crate) struct GeoArgs {
    #[command(subcommand)]
    pub(crate) command: GeoCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GeoCommand {
    /// Compile databases into one table.
    Build(GeoBuildArgs),
    /// Where an address is, field by field, from which source, and the prefix it holds for.
    Lookup(GeoLookupArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GeoBuildArgs {
    /// Databases, within a kind a later one over an earlier one: MMDB (MaxMind, DB-IP, IPinfo), CSV ranges,
    /// ip2region xdb. What each holds is found out from its content.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) databases: Vec<PathBuf>,
    /// Keep cities and the finest networks (a controller's table) or whole /24 and /56 with
    /// subdivisions (what the built-in table is).
    #[arg(long, value_enum, default_value_t = GeoDetail::City)]
    pub(crate) detail: GeoDetail,
    /// A name for the table, for people.
    #[arg(long, default_value = "custom")]
    pub(crate) label: String,
    /// Version of each database in order, shown beside its fields.
    #[arg(long, value_delimiter = ',', value_name = "TEXT")]
    pub(crate) versions: Vec<String>,
    /// The table to write.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// How fine a built table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GeoDetail {
    /// Cities and the finest networks.
    City,
    /// Subdivisions in whole /24 and /56.
    Subdivision,
}

#[derive(Debug, Args)]
pub(crate) struct GeoLookupArgs {
    /// The address.
    pub(crate) ip: IpAddr,
    #[command(flatten)]
    pub(crate) geo: GeoSource,
    /// JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}
