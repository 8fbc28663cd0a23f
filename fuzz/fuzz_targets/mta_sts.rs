//! Any octets as an MTA-STS or TLS-RPT record, as a policy file, and as a certificate and a TLSA
//! record of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_dns::Tlsa;
use waxwing_mailauth::policy::dane::Dane;
use waxwing_mailauth::policy::{mta_sts, tls_rpt};

fuzz_target!(|data: &[u8]| {
    let _ = tls_rpt::Record::parse(data);
    if let Ok(record) = mta_sts::Record::parse(data) {
        assert_eq!(mta_sts::Record::parse(record.to_string().as_bytes()), Ok(record));
    }
    if let Ok(policy) = mta_sts::Policy::parse(data) {
        policy.allows("mx.example.org");
        assert_eq!(mta_sts::Policy::parse(policy.to_file().as_bytes()), Ok(policy));
    }
    if let [usage, selector, matching, rest @ ..] = data {
        let (usage, selector, matching) = (usage % 4, selector % 3, matching % 4);
        let record = Tlsa { usage, selector, matching, data: rest.to_vec() };
        if let Some(dane) = Dane::new(&[record], vec!["mx.example.org".to_owned()]) {
            let (first, second) = rest.split_at(rest.len() / 2);
            let _ = (dane.check(&[rest], 0), dane.check(&[first, second, rest], 1_767_225_600));
        }
    }
});
