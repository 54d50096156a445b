//! What a certificate says of itself, for operators: names and the end of its time, never keys.

use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names shown of one certificate; some have hundreds.
const NAMES_SHOWN_MAX: usize = 16;

/// The names that it is for, separated by commas.
pub(crate) fn names(key: &CertifiedKey) -> String {
    read(key, |leaf| {
        let alternatives = leaf.subject_alternative_name().ok().flatten();
        let general = alternatives.map_or(&[][..], |names| &names.value.general_names);
        let mut names: Vec<String> =
            general.iter().filter_map(name).take(NAMES_SHOWN_MAX).collect();
        if general.len() > NAMES_SHOWN_MAX {
            names.push(format!("and {} more", general.len() - NAMES_SHOWN_MAX));
        }
        if names.is_empty() { leaf.subject().to_string() } else { names.join(", ") }
    })
    .unwrap_or_else(|| "unreadable".to_owned())
}

/// The end of its time, in seconds since the epoch.
pub(crate) fn not_after_s(key: &CertifiedKey) -> Option<i64> {
    read(key, |leaf| leaf.validity().not_after.timestamp())
}

fn read<T>(key: &CertifiedKey, of: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
    let leaf = key.end_entity_cert().ok()?;
    X509Certificate::from_der(leaf.as_ref()).ok().map(|(_, leaf)| of(&leaf))
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => {
                <[u8; 4]>::try_from(*octets).ok().map(|ip| std::net::Ipv4Addr::from(ip).to_string())
            }
            _ => <[u8; 16]>::try_from(*octets)
                .ok()
                .map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
        },
        _ => None,
    }
}
