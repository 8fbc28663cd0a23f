//! The isemail addresses: each says whether RFC 5321 allows it.

use waxwing_message::Address;
use waxwing_suites as suites;

struct Case {
    id: String,
    address: String,
    category: String,
    diagnosis: String,
}

fn cases(xml: &str) -> Vec<Case> {
    let field = |test: &str, name: &str| {
        let text = test.split(&format!("<{name}>")).nth(1).unwrap_or_default();
        unescape(text.split(&format!("</{name}>")).next().unwrap_or_default())
    };
    xml.split("<test id=\"")
        .skip(1)
        .map(|test| Case {
            id: test.split('"').next().unwrap_or_default().to_owned(),
            address: field(test, "address"),
            category: field(test, "category"),
            diagnosis: field(test, "diagnosis"),
        })
        .collect()
}

/// XML's references, and U+2400 + n for control character n.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let end = rest[at..].find(';').expect("a reference ends") + at;
        out.push(match &rest[at + 1..end] {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            hex => char::from_u32(u32::from_str_radix(&hex[2..], 16).expect("hex")).expect("char"),
        });
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    let control = |c: char| match u32::from(c) {
        n @ 0x2400..=0x241f => char::from_u32(n - 0x2400).expect("control"),
        _ => c,
    };
    out.chars().map(control).collect()
}

/// Where we differ on purpose: the address's id, whether we take it, and why.
const JUDGED: &[(&str, bool, &str)] = &[
    ("26", true, "65 octets before the @: VERP and SRS need more than RFC 5321's 64"),
    ("59", true, "the same, quoted"),
    ("60", true, "the same, quoted"),
    ("43", false, "the empty local part \"\" names nobody; refused on purpose"),
    ("71", true, ":: for one group of zeros is bad style, but there is no doubt what it means"),
];

#[test]
fn rfc_5321_decides() {
    let Some(folder) = suites::find("address") else { return };
    let xml = std::fs::read_to_string(folder.join("tests.xml")).expect("tests.xml");
    let cases = cases(&xml);
    assert_eq!(cases.len(), 164);
    let mut wrong = Vec::new();
    for case in &cases {
        let valid = matches!(
            case.category.as_str(),
            "ISEMAIL_VALID_CATEGORY" | "ISEMAIL_DNSWARN" | "ISEMAIL_RFC5321"
        );
        let judged = JUDGED.iter().find(|(id, _, _)| *id == case.id).map(|(_, take, _)| *take);
        let parsed = Address::parse(&case.address);
        if parsed.is_ok() != judged.unwrap_or(valid) {
            wrong.push(format!("{} {:?} {}: {parsed:?}", case.id, case.address, case.diagnosis));
        }
        if let Ok(address) = parsed {
            assert_eq!(Address::parse(&address.to_string()), Ok(address), "round trip");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
