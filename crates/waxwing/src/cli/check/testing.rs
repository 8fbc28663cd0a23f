//! What the tests of every subject use.

use waxwing_dns::{FakeZone, Zone};

use super::section::{Level, Remark, Section};

/// The zone `example.org`.
pub fn zone(text: &str) -> FakeZone {
    zones(&[("example.org", text)])
}

/// Several zones.
pub fn zones(all: &[(&str, &str)]) -> FakeZone {
    let add = |zones: FakeZone, (apex, text): &(&str, &str)| {
        zones.with(Zone::parse(apex, text).unwrap_or_else(|error| panic!("{apex}: {error}")))
    };
    all.iter().fold(FakeZone::new(), add)
}

/// The remark of that kind.
#[track_caller]
pub fn named<'s>(section: &'s Section, what: &str) -> &'s Remark {
    let found = section.remarks.iter().find(|remark| remark.what == what);
    found.unwrap_or_else(|| panic!("no {what} in {:#?}", section.remarks))
}

/// That the section has a remark of that kind and level.
#[track_caller]
pub fn has(section: &Section, level: Level, what: &str) {
    let remark = named(section, what);
    assert_eq!(remark.level, level, "{remark:?}");
}
