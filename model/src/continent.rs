//! Which continent a country is on: ISO 3166-1 alpha-2 codes by continent.
//!
//! The assignment is GeoNames' (`countryInfo.txt`), because the databases people import use it:
//! Russia and Cyprus are in Europe, Turkey and Georgia in Asia, Timor-Leste in Oceania. The 249
//! assigned codes and the user-assigned `XK` (Kosovo) are all there, once each.

use crate::geo::{Continent, Country};

const COUNTRIES: [(Continent, &str); 7] = [
    (
        Continent::AF,
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA \
         MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    ),
    (Continent::AN, "AQ BV GS HM TF"),
    (
        Continent::AS,
        "AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB \
         LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE",
    ),
    (
        Continent::EU,
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE \
         LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    ),
    (
        Continent::NA,
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX \
         NI PA PM PR SV SX TC TT US VC VG VI",
    ),
    (
        Continent::OC,
        "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS",
    ),
    (Continent::SA, "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"),
];

/// Continent by country code, 26 x 26, made at compile time so that a look-up is one load.
static BY_CODE: [[Option<Continent>; 26]; 26] = index();

const fn index() -> [[Option<Continent>; 26]; 26] {
    let mut table = [[None; 26]; 26];
    let mut row = 0;
    while row < COUNTRIES.len() {
        let (continent, codes) = COUNTRIES[row];
        let codes = codes.as_bytes();
        let mut at = 0;
        while at + 1 < codes.len() {
            let (first, second) = (codes[at] - b'A', codes[at + 1] - b'A');
            table[first as usize][second as usize] = Some(continent);
            at += 3;
        }
        row += 1;
    }
    table
}

impl Country {
    /// The continent; `None` when the code is not assigned.
    pub fn continent(self) -> Option<Continent> {
        let [first, second] = self.0.map(|letter| usize::from(letter.wrapping_sub(b'A')));
        *BY_CODE.get(first)?.get(second)?
    }
}

impl Continent {
    /// Every continent.
    pub const ALL: [Self; 7] =
        [Self::AF, Self::AN, Self::AS, Self::EU, Self::NA, Self::OC, Self::SA];

    /// The two letters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AF => "AF",
            Self::AN => "AN",
            Self::AS => "AS",
            Self::EU => "EU",
            Self::NA => "NA",
            Self::OC => "OC",
            Self::SA => "SA",
        }
    }

    /// Takes the two letters, of either case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|continent| continent.as_str().eq_ignore_ascii_case(text))
    }
}

#[cfg(test)]
mod tests;
