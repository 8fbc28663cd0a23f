//! Our reading of commands beside another's (smtp-proto): where both take a line they must agree,
//! and both must take what is well-formed.

use proptest::prelude::*;
use smtp_proto::{
    MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_BODY_BINARYMIME, MAIL_REQUIRETLS, MAIL_RET_FULL,
    MAIL_RET_HDRS, MAIL_SMTPUTF8, RCPT_NOTIFY_DELAY, RCPT_NOTIFY_FAILURE, RCPT_NOTIFY_NEVER,
    RCPT_NOTIFY_SUCCESS, Request,
};
use waxwing_message::{Address, BodyKind, DsnReturn, Notify, ReversePath};
use waxwing_smtp::command::{Command, Mail, Rcpt};

type Theirs = Request<String>;

fn theirs(line: &str) -> Option<Theirs> {
    let octets = format!("{line}\r\n").into_bytes();
    Request::parse(&mut octets.iter()).ok().map(Request::into_owned)
}

fn verb(command: &Command) -> &'static str {
    match command {
        Command::Helo(_) => "HELO",
        Command::Ehlo(_) => "EHLO",
        Command::Lhlo(_) => "LHLO",
        Command::Mail(_) => "MAIL",
        Command::Rcpt(_) => "RCPT",
        Command::Data => "DATA",
        Command::Bdat { .. } => "BDAT",
        Command::Rset => "RSET",
        Command::Noop => "NOOP",
        Command::Quit => "QUIT",
        Command::Vrfy => "VRFY",
        Command::Expn => "EXPN",
        Command::Help => "HELP",
        Command::StartTls => "STARTTLS",
        Command::Auth { .. } => "AUTH",
    }
}

fn same_mail(ours: &Mail, theirs: &smtp_proto::MailFrom<String>) {
    match &ours.reverse_path {
        ReversePath::Null => assert_eq!(theirs.address, ""),
        ReversePath::Address(address) => {
            assert_eq!(Some(address), parsed(&theirs.address).as_ref())
        }
    }
    assert_eq!(ours.size_octets.unwrap_or(0), theirs.size as u64);
    assert_eq!(ours.envelope_id, theirs.env_id);
    let flag = |flag: u64| theirs.flags & flag != 0;
    assert_eq!(ours.body == Some(BodyKind::SevenBit), flag(MAIL_BODY_7BIT));
    assert_eq!(ours.body == Some(BodyKind::EightBitMime), flag(MAIL_BODY_8BITMIME));
    assert_eq!(ours.body == Some(BodyKind::BinaryMime), flag(MAIL_BODY_BINARYMIME));
    assert_eq!(ours.dsn_return == Some(DsnReturn::Full), flag(MAIL_RET_FULL));
    assert_eq!(ours.dsn_return == Some(DsnReturn::Headers), flag(MAIL_RET_HDRS));
    assert_eq!(ours.smtputf8, flag(MAIL_SMTPUTF8));
    assert_eq!(ours.require_tls, flag(MAIL_REQUIRETLS));
}

fn same_rcpt(ours: &Rcpt, theirs: &smtp_proto::RcptTo<String>) {
    assert_eq!(ours.forward_path, parsed(&theirs.address));
    assert_eq!(ours.original.as_ref().map(|original| &original.address), theirs.orcpt.as_ref());
    let flag = |flag: u64| theirs.flags & flag != 0;
    let notify = ours.notify;
    assert_eq!(notify == Some(Notify::Never), flag(RCPT_NOTIFY_NEVER));
    assert_eq!(notify.is_some_and(Notify::on_success), flag(RCPT_NOTIFY_SUCCESS));
    assert_eq!(notify.is_some_and(Notify::on_failure), flag(RCPT_NOTIFY_FAILURE));
    assert_eq!(notify.is_some_and(Notify::on_delay), flag(RCPT_NOTIFY_DELAY));
}

/// They give local parts without quotes.
fn parsed(address: &str) -> Option<Address> {
    let (local_part, domain) = address.rsplit_once('@')?;
    Address::new(local_part, domain).ok()
}

fn compare(line: &str, ours: &Command, theirs: &Theirs) {
    assert_eq!(verb(ours), theirs.name(), "{line}");
    match (ours, theirs) {
        (Command::Mail(ours), Request::Mail { from }) => same_mail(ours, from),
        (Command::Rcpt(ours), Request::Rcpt { to }) if ours.forward_path.is_some() => {
            same_rcpt(ours, to);
        }
        (Command::Bdat { octets, last }, Request::Bdat { chunk_size, is_last }) => {
            assert_eq!((*octets, *last), (*chunk_size as u64, *is_last), "{line}");
        }
        (Command::Ehlo(name), Request::Ehlo { host })
        | (Command::Helo(name), Request::Helo { host })
        | (Command::Lhlo(name), Request::Lhlo { host }) => assert_eq!(name, host, "{line}"),
        _ => {}
    }
}

fn address() -> impl Strategy<Value = String> {
    let atom = "[a-zA-Z0-9!#$%&'*/=?^_`{|}~-]{1,8}";
    let dotted = prop::collection::vec(atom, 1..3).prop_map(|atoms| atoms.join("."));
    let quoted = "\"[a-zA-Z0-9 @<>.,:;]{1,10}\"";
    let domain = "[a-z0-9]{1,8}(-[a-z0-9]{1,3})?(\\.[a-z]{2,8}){1,2}";
    (prop_oneof![4 => dotted, 1 => quoted], domain)
        .prop_map(|(local_part, domain)| format!("{local_part}@{domain}"))
}

fn parameters(of: Vec<&'static str>) -> impl Strategy<Value = String> {
    prop::sample::subsequence(of.clone(), 0..=of.len())
        .prop_shuffle()
        .prop_map(|chosen| chosen.iter().map(|parameter| format!(" {parameter}")).collect())
}

fn mail_line() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        1 => Just(String::new()),
        6 => address(),
        1 => address().prop_map(|address| format!("@one.example,@two.example:{address}")),
    ];
    let verb = prop::sample::select(vec!["MAIL FROM:", "mail from:", "Mail From: "]);
    let body = prop::sample::select(vec!["", " BODY=7BIT", " body=8bitmime", " BODY=BINARYMIME"]);
    let ret = prop::sample::select(vec!["", " RET=FULL", " RET=HDRS"]);
    let others = parameters(vec!["SIZE=12345", "SMTPUTF8", "REQUIRETLS", "ENVID=a+2Bb"]);
    (verb, path, body, ret, others)
        .prop_map(|(verb, path, body, ret, others)| format!("{verb}<{path}>{body}{others}{ret}"))
}

fn rcpt_line() -> impl Strategy<Value = String> {
    let notify = prop::sample::select(vec![
        "",
        " NOTIFY=NEVER",
        " NOTIFY=SUCCESS",
        " NOTIFY=FAILURE,DELAY",
        " notify=success,delay,failure",
    ]);
    let original =
        prop::sample::select(vec!["", " ORCPT=rfc822;Bob@Example.COM", " ORCPT=rfc822;a+20b@c"]);
    (address(), notify, original)
        .prop_map(|(path, notify, original)| format!("RCPT TO:<{path}>{notify}{original}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn well_formed_lines_are_read_alike(
        line in prop_oneof![
            3 => mail_line(),
            3 => rcpt_line(),
            1 => (any::<u32>(), any::<bool>()).prop_map(|(octets, last)| {
                format!("BDAT {octets}{}", if last { " LAST" } else { "" })
            }),
            1 => "(EHLO|HELO|LHLO) [a-z]{1,9}(\\.[a-z]{1,9}){0,2}",
            1 => "DATA|RSET|QUIT|STARTTLS|NOOP|HELP|noop|Quit",
        ],
    ) {
        let ours = Command::parse(line.as_bytes());
        prop_assert!(ours.is_ok(), "{line}: {ours:?}");
        let theirs = theirs(&line);
        prop_assert!(theirs.is_some(), "they refuse {line}");
        compare(&line, &ours.unwrap(), &theirs.unwrap());
    }

    #[test]
    fn damaged_lines_are_read_alike_or_refused(
        line in prop_oneof![mail_line(), rcpt_line()],
        at in 0usize..80,
        damage in "[ -~]{0,2}",
        cut in 0usize..3,
    ) {
        let (at, mut line) = (at.min(line.len()), line);
        line.replace_range(at..(at + cut).min(line.len()), &damage);
        if let (Ok(ours), Some(theirs)) = (Command::parse(line.as_bytes()), theirs(&line)) {
            prop_assert_eq!(verb(&ours), theirs.name());
        }
    }
}
