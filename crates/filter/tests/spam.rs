//! Verdicts, one case for each rule; and what holds for all of them.

use proptest::prelude::*;
use waxwing_filter::spam::absurd::{FromFacts, examine_from, only_author};
use waxwing_filter::spam::evidence::*;
use waxwing_filter::spam::reputation::{Leaning, Level};
use waxwing_filter::spam::tokens::{MAX_TOKEN_CHARS, MAX_TOKENS};
use waxwing_filter::spam::verdict::{Override, Treatment};
use waxwing_filter::spam::{Judgement, ReputationOutcome, SpamPolicy, WordsOutcome, judge, tokens};
use waxwing_message::Message;
use waxwing_message::journey::{Check, Finding, Verdict};

fn finding(check: Check, result: &str) -> Finding {
    let text = format!("{check:?} {result}");
    Finding {
        check,
        result: result.into(),
        about: String::new(),
        reason: text,
        lookups: Vec::new(),
    }
}

/// An ordinary message whose author is proven.
fn proven() -> Evidence {
    Evidence {
        ip: Some("192.0.2.7".parse().expect("an address")),
        reverse_path: Some("alice@example.org".into()),
        from_address: Some("alice@example.org".into()),
        spf: Some(spf(SpfResult::Pass)),
        dkim: vec![dkim(DkimResult::Pass)],
        dkim_checked: true,
        dmarc: Some(dmarc(DmarcResult::Pass, DmarcPolicy::Reject)),
        ..Evidence::default()
    }
}

/// A message that claims to be from example.org and is not.
fn forged(policy: DmarcPolicy) -> Evidence {
    Evidence {
        spf: Some(spf(SpfResult::Fail)),
        dkim: Vec::new(),
        dmarc: Some(dmarc(DmarcResult::Fail, policy)),
        ..proven()
    }
}

fn spf(result: SpfResult) -> SpfFacts {
    SpfFacts { result, domain: "example.org".into(), reason: String::new() }
}

fn dkim(result: DkimResult) -> DkimFacts {
    DkimFacts { result, domain: "example.org".into(), selector: "s".into(), reason: String::new() }
}

fn dmarc(result: DmarcResult, policy: DmarcPolicy) -> DmarcFacts {
    let aligned = (result == DmarcResult::Pass).then(|| "DKIM d=example.org".to_owned());
    DmarcFacts {
        result,
        policy: Some(policy),
        domain: "example.org".into(),
        aligned,
        testing: false,
    }
}

fn arc(trusted_sealer: bool, original_dmarc_pass: bool) -> Option<ArcFacts> {
    let sealer = "lists.example".to_owned();
    Some(ArcFacts { status: ArcStatus::Pass, sealer, trusted_sealer, original_dmarc_pass })
}

fn words(probability: f64) -> Option<WordsOutcome> {
    let weightiest = vec![("pills".to_owned(), 0.99), ("meeting".to_owned(), -0.9)];
    Some(WordsOutcome { probability, confident: true, weightiest, counted: 2 })
}

fn first_contact() -> Option<ReputationOutcome> {
    Some(ReputationOutcome::Inconclusive { first_contact: true, reason: "new".into() })
}

fn known(leaning: Leaning, level: Level) -> Option<ReputationOutcome> {
    Some(ReputationOutcome::Conclusive { leaning, level, reason: "known".into() })
}

fn usual(evidence: &Evidence) -> Judgement {
    judge(evidence, &SpamPolicy::default())
}

fn status(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Refuse { status, .. } => status,
        other => panic!("not refused: {other:?}"),
    }
}

fn text_of(judgement: &Judgement, check: Check) -> String {
    let found = judgement.reasons.iter().find(|reason| reason.check == check);
    found.map(|reason| reason.text.clone()).unwrap_or_default()
}

#[test]
fn nothing_known_is_accepted() {
    let judgement = usual(&Evidence::default());
    assert_eq!((judgement.verdict, judgement.weight), (Verdict::Accept, 0));
}

#[test]
fn a_proven_sender_is_accepted() {
    let judgement = usual(&proven());
    assert_eq!(judgement.verdict, Verdict::Accept);
    assert!(judgement.weight < 0);
}

#[test]
fn a_domain_without_a_dmarc_record_vouches_by_signature_and_spf() {
    let of = |domain: &str| domain.to_owned();
    let signed = |result, domain| Evidence {
        dkim: vec![DkimFacts { domain: of(domain), ..dkim(result) }],
        ..Evidence::default()
    };
    let sent = |result, domain| Evidence {
        spf: Some(SpfFacts { domain: of(domain), ..spf(result) }),
        ..Evidence::default()
    };
    use DmarcResult::{Fail, None as NoRecord, TempError};
    for (evidence, said, wanted) in [
        (signed(DkimResult::Pass, "example.org"), NoRecord, true),
        (signed(DkimResult::Pass, "Org"), NoRecord, true),
        (signed(DkimResult::Pass, "ample.org"), NoRecord, false),
        (signed(DkimResult::Pass, "news.example.org"), NoRecord, false),
        (signed(DkimResult::Fail, "example.org"), NoRecord, false),
        (signed(DkimResult::Pass, ""), NoRecord, false),
        (sent(SpfResult::Pass, "Example.org"), NoRecord, true),
        (sent(SpfResult::Pass, "org"), NoRecord, false),
        (sent(SpfResult::Neutral, "example.org"), NoRecord, false),
        (sent(SpfResult::Pass, "example.org"), TempError, true),
        // Its record wants more than this.
        (signed(DkimResult::Pass, "org"), Fail, false),
    ] {
        let told = DmarcFacts { policy: None, ..dmarc(said, DmarcPolicy::None) };
        let evidence = Evidence { dmarc: Some(told), ..evidence };
        assert_eq!(Authenticity::from(&evidence).from, wanted, "{evidence:?}");
    }
}

#[test]
fn a_forged_sender_is_refused_when_its_domain_asks_for_that() {
    let judgement = usual(&forged(DmarcPolicy::Reject));
    assert_eq!(status(&judgement.verdict), "5.7.26");
    let Verdict::Refuse { text, .. } = judgement.verdict else { unreachable!("refused above") };
    assert!(
        text.contains("example.org")
            && text.contains("DKIM")
            && text.is_ascii()
            && text.len() < 400
    );
}

/// RFC 9989 §7.4: not for `p=reject` alone.
#[test]
fn a_forged_sender_that_came_through_a_list_goes_to_the_spam_folder() {
    let forwarded = vec!["it has the field List-Id".to_owned()];
    let evidence = Evidence { forwarded, ..forged(DmarcPolicy::Reject) };
    assert_eq!(usual(&evidence).verdict, Verdict::SpamFolder);
}

#[test]
fn a_forged_sender_from_a_good_place_goes_to_the_spam_folder() {
    let evidence =
        Evidence { reputation: known(Leaning::Ham, Level::Ip), ..forged(DmarcPolicy::Reject) };
    assert_eq!(usual(&evidence).verdict, Verdict::SpamFolder);
}

#[test]
fn quarantine_is_the_spam_folder() {
    let evidence = Evidence { words: words(0.0), ..forged(DmarcPolicy::Quarantine) };
    assert_eq!(usual(&evidence).verdict, Verdict::SpamFolder);
}

#[test]
fn a_domain_that_is_testing_its_policy_gets_one_step_less() {
    let testing = |policy| {
        let facts = DmarcFacts { testing: true, ..dmarc(DmarcResult::Fail, policy) };
        usual(&Evidence { dmarc: Some(facts), spf: None, ..forged(policy) }).verdict
    };
    assert_eq!(testing(DmarcPolicy::Reject), Verdict::SpamFolder);
    assert_eq!(testing(DmarcPolicy::Quarantine), Verdict::Accept);
}

#[test]
fn a_policy_of_none_is_only_a_reason() {
    let judgement = usual(&forged(DmarcPolicy::None));
    assert_eq!(judgement.verdict, Verdict::Accept);
    assert!(judgement.weight > 0);
}

#[test]
fn dmarc_is_not_obeyed_when_the_operator_says_so() {
    let policy = SpamPolicy { obey_dmarc_reject: false, ..SpamPolicy::default() };
    assert_eq!(judge(&forged(DmarcPolicy::Reject), &policy).verdict, Verdict::SpamFolder);
    let policy = SpamPolicy { obey_dmarc_quarantine: false, spam_at: 1_000, ..policy };
    assert_eq!(judge(&forged(DmarcPolicy::Reject), &policy).verdict, Verdict::Accept);
}

#[test]
fn a_trusted_seal_rescues_what_was_genuine_before() {
    let with = |arc| usual(&Evidence { arc, ..forged(DmarcPolicy::Reject) }).verdict;
    assert_eq!(with(arc(true, true)), Verdict::Accept);
    assert!(matches!(with(arc(false, true)), Verdict::Refuse { .. }));
    assert!(matches!(with(arc(true, false)), Verdict::Refuse { .. }));
    let broken = arc(true, true).map(|facts| ArcFacts { status: ArcStatus::Fail, ..facts });
    assert!(matches!(with(broken), Verdict::Refuse { .. }));
}

#[test]
fn no_answer_from_a_domain_that_refuses_means_later() {
    let with = |policy| {
        let facts = DmarcFacts { policy, ..dmarc(DmarcResult::TempError, DmarcPolicy::None) };
        usual(&Evidence { dmarc: Some(facts), ..proven() }).verdict
    };
    assert!(matches!(with(Some(DmarcPolicy::Reject)), Verdict::Defer { .. }));
    assert_eq!(with(Some(DmarcPolicy::Quarantine)), Verdict::Accept);
    assert_eq!(with(None), Verdict::Accept);
}

#[test]
fn spam_words_of_a_stranger_go_to_the_spam_folder() {
    let evidence = Evidence { words: words(0.999), reputation: first_contact(), ..proven() };
    let judgement = usual(&evidence);
    assert_eq!(judgement.verdict, Verdict::SpamFolder);
    assert!(text_of(&judgement, Check::Words).contains("“pills”"));
    assert!(!text_of(&judgement, Check::Words).contains("meeting"));
}

#[test]
fn words_of_a_known_sender_are_not_asked() {
    let evidence =
        Evidence { words: words(1.0), reputation: known(Leaning::Ham, Level::Sender), ..proven() };
    let judgement = usual(&evidence);
    assert_eq!(judgement.verdict, Verdict::Accept);
    assert_eq!(text_of(&judgement, Check::Words), "");
}

#[test]
fn a_known_spammer_goes_to_the_spam_folder() {
    for level in
        [Level::Sender, Level::Domain, Level::OrgDomain, Level::Dkim, Level::Spf, Level::Ip]
    {
        let evidence = Evidence { reputation: known(Leaning::Spam, level), ..proven() };
        assert_eq!(usual(&evidence).verdict, Verdict::SpamFolder, "{level:?}");
    }
}

#[test]
fn words_count_only_when_enough_was_learned() {
    let unsure = words(1.0).map(|outcome| WordsOutcome { confident: false, ..outcome });
    assert_eq!(usual(&Evidence { words: unsure, ..proven() }).verdict, Verdict::Accept);
}

#[test]
fn one_oddity_of_a_connection_is_not_spam() {
    for (check, result) in [
        (Check::Helo, "localhost"),
        (Check::Helo, "own-name"),
        (Check::ReverseDns, "none"),
        (Check::ReverseDns, "generic"),
    ] {
        let one = vec![finding(check, result)];
        let evidence = match check {
            Check::Helo => Evidence { helo: one, ..Evidence::default() },
            _ => Evidence { rdns: one, ..Evidence::default() },
        };
        let judgement = usual(&evidence);
        assert_eq!(judgement.verdict, Verdict::Accept, "{result}");
        assert!(judgement.weight > 0, "{result}");
    }
}

#[test]
fn a_listed_client_with_a_bad_name_is_spam() {
    let evidence = Evidence {
        rdns: vec![finding(Check::ReverseDns, "none")],
        blocklists: vec![listed(40, ListKind::Ip)],
        ..Evidence::default()
    };
    let judgement = usual(&evidence);
    assert_eq!(judgement.verdict, Verdict::SpamFolder);
    assert_eq!(judgement.reasons[0].text, "192.0.2.7 is listed by bl.example: “seen it”");
}

fn listed(weight: i32, kind: ListKind) -> Listed {
    let (list, name) = ("bl.example".to_owned(), "192.0.2.7".to_owned());
    Listed { list, name, kind, weight, says: "seen it".into() }
}

#[test]
fn a_list_cannot_speak_for_a_sender() {
    let evidence = Evidence { blocklists: vec![listed(-500, ListKind::Ip)], ..Evidence::default() };
    assert_eq!(usual(&evidence).weight, 0);
}

#[test]
fn deceiving_from_fields_go_to_the_spam_folder() {
    for result in [
        "none",
        "several-fields",
        "own-domain",
        "like-own-domain",
        "like-colleague",
        "mixed-scripts",
    ] {
        let evidence = Evidence { from: vec![finding(Check::From, result)], ..Evidence::default() };
        assert_eq!(usual(&evidence).verdict, Verdict::SpamFolder, "{result}");
    }
}

/// RFC 6376 §6.1.
#[test]
fn a_broken_signature_weighs_what_none_weighs() {
    let with = |dkim| usual(&Evidence { dkim, dkim_checked: true, ..Evidence::default() }).weight;
    assert_eq!(with(vec![dkim(DkimResult::Fail)]), with(vec![]));
}

#[test]
fn forwarding_that_broke_spf_is_forgiven_when_the_author_is_proven() {
    let evidence = Evidence { spf: Some(spf(SpfResult::Fail)), ..proven() };
    assert!(usual(&evidence).weight < 0);
}

#[test]
fn a_trusted_relay_is_not_the_sender() {
    let evidence = Evidence {
        relayed_by_trusted: true,
        helo: vec![finding(Check::Helo, "own-name")],
        rdns: vec![finding(Check::ReverseDns, "none")],
        blocklists: vec![listed(100, ListKind::Ip)],
        ..forged(DmarcPolicy::Reject)
    };
    let judgement = usual(&evidence);
    assert_eq!(judgement.verdict, Verdict::Accept);
    assert!(text_of(&judgement, Check::Policy).contains("trusted"));
    let evidence = Evidence { blocklists: vec![listed(100, ListKind::Domain)], ..evidence };
    assert_eq!(usual(&evidence).verdict, Verdict::SpamFolder);
}

#[test]
fn points_refuse_only_when_the_operator_says_so() {
    let evidence = Evidence { words: words(1.0), ..forged(DmarcPolicy::None) };
    assert_eq!(usual(&evidence).verdict, Verdict::SpamFolder);
    let policy = SpamPolicy { refuse_at: Some(80), ..SpamPolicy::default() };
    assert_eq!(status(&judge(&evidence, &policy).verdict), "5.7.1");
}

/// RFC 7372 §3.2 and §3.3.
#[test]
fn a_refusal_names_what_weighs_most() {
    let policy = SpamPolicy { refuse_at: Some(20), ..SpamPolicy::default() };
    let evidence = Evidence { spf: Some(spf(SpfResult::Fail)), ..Evidence::default() };
    assert_eq!(status(&judge(&evidence, &policy).verdict), "5.7.23");
    let evidence =
        Evidence { rdns: vec![finding(Check::ReverseDns, "none")], ..Evidence::default() };
    assert_eq!(status(&judge(&evidence, &policy).verdict), "5.7.25");
}

#[test]
fn greylisting_puts_off_doubtful_strangers_once() {
    let policy = SpamPolicy { greylist: true, ..SpamPolicy::default() };
    let seen = |first_seen_secs_ago| Some(GreylistFacts { first_seen_secs_ago });
    let stranger = Evidence {
        rdns: vec![finding(Check::ReverseDns, "none")],
        reputation: first_contact(),
        greylist: seen(None),
        ..proven()
    };
    let put_off =
        |evidence: &Evidence| matches!(judge(evidence, &policy).verdict, Verdict::Defer { .. });
    assert!(put_off(&stranger));
    assert!(put_off(&Evidence { greylist: seen(Some(299)), ..stranger.clone() }));
    assert!(!put_off(&Evidence { greylist: seen(Some(300)), ..stranger.clone() }));
    assert!(!put_off(&Evidence { rdns: Vec::new(), ..stranger.clone() }), "no doubt");
    let friend = known(Leaning::Ham, Level::Sender);
    assert!(!put_off(&Evidence { reputation: friend, ..stranger.clone() }), "no stranger");
    assert!(!put_off(&Evidence { relayed_by_trusted: true, ..stranger.clone() }), "no client");
    assert_eq!(usual(&stranger).verdict, Verdict::Accept, "off by default");
}

fn with_override(who: &str, what: Treatment) -> SpamPolicy {
    let one = Override { who: who.into(), what, even_unproven: false };
    SpamPolicy { overrides: vec![one], ..SpamPolicy::default() }
}

#[test]
fn overrides_go_before_reasons_and_say_so() {
    let spam = Evidence { words: words(1.0), ..proven() };
    let judgement = judge(&spam, &with_override("example.org", Treatment::Accept));
    assert_eq!(judgement.verdict, Verdict::Accept);
    let told = judgement.overridden.expect("visible");
    assert!(told.contains("example.org") && told.contains("spam folder"), "{told}");
    let judgement = judge(&proven(), &with_override("alice@EXAMPLE.org", Treatment::SpamFolder));
    assert_eq!(judgement.verdict, Verdict::SpamFolder);
    let judgement = judge(&proven(), &with_override("@org", Treatment::Refuse));
    assert_eq!(status(&judgement.verdict), "5.7.1");
    assert!(judgement.overridden.is_some());
}

#[test]
fn an_override_of_another_name_does_nothing() {
    for who in ["ample.org", "bob@example.org", "example.org.test", ""] {
        let judgement = judge(&proven(), &with_override(who, Treatment::Refuse));
        assert_eq!((judgement.verdict, judgement.overridden), (Verdict::Accept, None), "{who}");
    }
}

#[test]
fn accepting_a_sender_does_not_accept_forgeries() {
    let policy = with_override("example.org", Treatment::Accept);
    let judgement = judge(&forged(DmarcPolicy::Reject), &policy);
    assert!(matches!(judgement.verdict, Verdict::Refuse { .. }));
    assert_eq!(judgement.overridden, None);
    assert!(text_of(&judgement, Check::Policy).contains("nothing proves"));
    let mut policy = policy;
    policy.overrides[0].even_unproven = true;
    assert_eq!(judge(&forged(DmarcPolicy::Reject), &policy).verdict, Verdict::Accept);
}

#[test]
fn the_policy_of_one_domain_can_be_ignored() {
    let policy = with_override("example.org", Treatment::IgnoreDmarc);
    let evidence = Evidence { spf: None, ..forged(DmarcPolicy::Reject) };
    let judgement = judge(&evidence, &policy);
    assert_eq!(judgement.verdict, Verdict::Accept);
    assert!(judgement.overridden.is_some_and(|told| told.contains("refused")));
}

#[test]
fn evidence_and_policy_are_kept_as_json() {
    let evidence = Evidence {
        words: words(0.25),
        reputation: first_contact(),
        arc: arc(true, true),
        ..proven()
    };
    let text = serde_json::to_string(&evidence).expect("plain data");
    assert_eq!(serde_json::from_str::<Evidence>(&text).expect("the same"), evidence);
    assert_eq!(serde_json::from_str::<Evidence>("{}").expect("all optional"), Evidence::default());
    assert_eq!(
        serde_json::from_str::<SpamPolicy>("{}").expect("all optional"),
        SpamPolicy::default()
    );
}

#[test]
fn traces_of_lists_and_forwarders() {
    let traces = |header: &str| traces_of_forwarding(&Message::parse(header.as_bytes())).len();
    assert_eq!(traces("From: a@b\r\n\r\n"), 0);
    assert_eq!(traces("List-Id: <l.example>\r\nARC-Seal: i=1\r\n\r\n"), 2);
}

fn any_spf() -> impl Strategy<Value = Option<SpfFacts>> {
    use SpfResult::*;
    let results =
        proptest::sample::select(vec![Pass, Fail, SoftFail, Neutral, None, TempError, PermError]);
    proptest::option::of(results.prop_map(spf))
}

fn any_dmarc() -> impl Strategy<Value = Option<DmarcFacts>> {
    use DmarcResult::*;
    let results = proptest::sample::select(vec![Pass, Fail, None, TempError, PermError]);
    let policies = [DmarcPolicy::None, DmarcPolicy::Quarantine, DmarcPolicy::Reject];
    let one = (results, proptest::sample::select(policies.to_vec()), any::<bool>());
    proptest::option::of(
        one.prop_map(|(result, policy, testing)| DmarcFacts { testing, ..dmarc(result, policy) }),
    )
}

fn any_reputation() -> impl Strategy<Value = Option<ReputationOutcome>> {
    let outcomes = vec![
        None,
        first_contact(),
        known(Leaning::Ham, Level::Sender),
        known(Leaning::Spam, Level::Domain),
        known(Leaning::Ham, Level::Network),
    ];
    proptest::sample::select(outcomes)
}

prop_compose! {
    fn any_evidence()(
        spf in any_spf(), dmarc in any_dmarc(), reputation in any_reputation(),
        signed in proptest::option::of(any::<bool>()),
        probability in proptest::option::of(any::<f64>()),
        sealed in proptest::option::of(any::<(bool, bool)>()),
        findings in proptest::collection::vec(
            proptest::sample::select(vec!["none", "generic", "own-name", "several-fields", "pass", "new"]), 0..4),
        weights in proptest::collection::vec(any::<i32>(), 0..3),
        seen in proptest::option::of(proptest::option::of(any::<u64>())),
        relayed_by_trusted in any::<bool>(), listed_too in any::<bool>(), address in ".{0,20}",
    ) -> Evidence {
        let all = |check| findings.iter().map(|result| finding(check, result)).collect::<Vec<_>>();
        Evidence {
            ip: None,
            reverse_path: Some(address.clone()),
            from_address: Some(address),
            spf,
            dkim: signed.map(|good| dkim(if good { DkimResult::Pass } else { DkimResult::Fail })).into_iter().collect(),
            dkim_checked: true,
            dmarc,
            arc: sealed.and_then(|(trusted, passed)| arc(trusted, passed)),
            helo: all(Check::Helo),
            rdns: all(Check::ReverseDns),
            blocklists: weights.iter().map(|weight| listed(*weight, ListKind::Ip)).collect(),
            from: all(Check::From),
            reputation,
            words: probability.and_then(words),
            greylist: seen.map(|first_seen_secs_ago| GreylistFacts { first_seen_secs_ago }),
            relayed_by_trusted,
            forwarded: if listed_too { vec!["a list".into()] } else { Vec::new() },
        }
    }
}

proptest! {
    #[test]
    fn the_same_evidence_gives_the_same_verdict(evidence in any_evidence()) {
        prop_assert_eq!(usual(&evidence), usual(&evidence.clone()));
    }

    #[test]
    fn reasons_are_ranked_and_their_weights_add_up(evidence in any_evidence()) {
        let judgement = usual(&evidence);
        let ranked = judgement.reasons.windows(2).all(|two| two[0].weight.abs() >= two[1].weight.abs());
        prop_assert!(ranked);
        prop_assert_eq!(judgement.reasons.iter().map(|one| one.weight).sum::<i32>(), judgement.weight);
        prop_assert!(judgement.reasons.iter().all(|one| !one.text.is_empty()));
    }

    #[test]
    fn more_against_a_sender_never_weighs_less(
        evidence in any_evidence(), weight in 0..=100_i32, result in "none|own-name|several-fields|generic",
    ) {
        let before = usual(&evidence).weight;
        let mut more = evidence.clone();
        more.blocklists.push(listed(weight, ListKind::Domain));
        prop_assert!(usual(&more).weight >= before);
        more.from.push(finding(Check::From, &result));
        more.helo.push(finding(Check::Helo, &result));
        prop_assert!(usual(&more).weight >= before);
    }

    #[test]
    fn likelier_spam_never_weighs_less(a in 0.0..=1.0_f64, b in 0.0..=1.0_f64) {
        let weight = |p| usual(&Evidence { words: words(p), ..Evidence::default() }).weight;
        prop_assert!(weight(a.min(b)) <= weight(a.max(b)));
    }

    #[test]
    fn overrides_are_always_visible(evidence in any_evidence(), what in 0..4_usize) {
        let what = [Treatment::Accept, Treatment::SpamFolder, Treatment::Refuse, Treatment::IgnoreDmarc][what];
        let from_address = Some("a@b.example".to_owned());
        let one = Override { who: "b.example".into(), what, even_unproven: true };
        let policy = SpamPolicy { overrides: vec![one], ..SpamPolicy::default() };
        let judgement = judge(&Evidence { from_address, ..evidence }, &policy);
        prop_assert!(judgement.overridden.is_some_and(|told| told.contains("b.example")));
    }

    #[test]
    fn refusals_can_be_said_in_smtp(evidence in any_evidence(), limit in any::<i32>()) {
        let policy = SpamPolicy { refuse_at: Some(limit), ..SpamPolicy::default() };
        if let Verdict::Refuse { text, status } = judge(&evidence, &policy).verdict {
            prop_assert!(text.is_ascii() && text.len() < 500 && !text.contains(['\r', '\n']));
            prop_assert!(status.starts_with("5.7."));
        }
    }

    #[test]
    fn any_octets_are_cut_into_tokens(raw in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        check_tokens(&raw)?;
    }

    #[test]
    fn any_text_is_cut_into_tokens(subject in ".{0,80}", body in "(?s).{0,400}", html in any::<bool>()) {
        let kind = if html { "html" } else { "plain" };
        check_tokens(format!("Subject: {subject}\nFrom: {subject}\nContent-Type: text/{kind}\n\n{body}").as_bytes())?;
        let page = format!("Content-Type: text/html\n\n<a href=\"http://{subject}/{body}\">{body}<font {body}>&#{subject}");
        check_tokens(page.as_bytes())?;
    }
}

fn check_tokens(raw: &[u8]) -> Result<(), TestCaseError> {
    let message = Message::parse(raw);
    let cut = tokens(&message);
    prop_assert!(cut.len() <= MAX_TOKENS);
    prop_assert!(
        cut.iter().all(|token| (1..=MAX_TOKEN_CHARS).contains(&token.text.chars().count()))
    );
    let keys: std::collections::HashSet<_> = cut.iter().map(|token| token.key).collect();
    prop_assert_eq!(keys.len(), cut.len(), "each once");
    prop_assert_eq!(&cut, &tokens(&Message::parse(raw)));
    examine_from(&message, &FromFacts::default());
    only_author(&message);
    Ok(())
}

fn texts(raw: &str) -> Vec<String> {
    tokens(&Message::parse(raw.as_bytes())).into_iter().map(|token| token.text).collect()
}

#[test]
fn words_are_folded() {
    for (body, word) in [
        ("VIAGRA", "viagra"),
        ("Café", "cafe"),
        ("ｆｒｅｅ", "free"),
        ("𝐅𝐑𝐄𝐄", "free"),
        ("via\u{200b}gra", "viagra"),
        ("v i a g r a now", "viagra"),
        ("don’t", "don't"),
        ("Straße", "straße"),
        ("$100", "$100"),
        ("免费彩票", "免费"),
        ("한국어", "한국어"),
    ] {
        let raw = format!("Content-Type: text/plain; charset=utf-8\n\n{body}");
        assert!(texts(&raw).contains(&word.to_owned()), "{body}: {:?}", texts(&raw));
    }
}

#[test]
fn headers_links_and_html_have_their_tokens() {
    let raw = "Subject: Cheap PILLS\nFrom: Shop <a@shop.example>\nX-Mailer: Blaster 2\nList-Id: <deals.example>\n\
               Received: from friend ([192.0.2.1]) by mx with SMTP; x\nContent-Type: text/html\n\n\
               <p style='display:none'>secret</p><a href='http://u@evil.test:81/buy/now'>www.bank.example</a>";
    let texts = texts(raw);
    for token in [
        "subject:cheap",
        "subject:cheap pills",
        "from:shop.example",
        "from-name:shop",
        "mailer:blaster",
        "list:example",
        "trace:HELO without a dot",
        "trace:with smtp",
        "field:no date",
        "field:no message-id",
        "to:nobody",
        "mime:root text/html",
        "html:hidden",
        "html:another-host",
        "url:evil.test",
        "path:buy",
        "url:with a user name",
        "url:with a port",
        "secret",
    ] {
        assert!(texts.contains(&token.to_owned()), "{token} in {texts:?}");
    }
    assert!(
        !texts.iter().any(|text| text.contains("192.0.2.1") || text == "friend"),
        "no names of the road"
    );
}

/// Quadratic time would take minutes.
#[test]
fn how_words_are_written_is_counted_beside_them() {
    let cut = texts(
        "Subject: FREE pills!!!\nFrom: Ann.Smith42@Example.org\nTo: bob@example.net\n\
         Message-ID: <20020911ABcd.x@mx.example.org>\nX-Priority: 1 (Highest)\n\
         DKIM-Signature: v=1; d=example.org; b=abc\nDate: Wed, 11 Sep 2002 10:00:00 +0000\n\
         Content-Type: multipart/mixed; boundary=\"--=_Next_0042\"\n\n\
         ----=_Next_0042\n\nBUY now! Only $99 or 50% off ----------\n----=_Next_0042--\n",
    );
    for one in [
        "subject:free",
        "subject:capitals:free",
        "subject:marks:!!!",
        "from:ann.smith42@example.org",
        "from-local:smith",
        "to:bob@example.net",
        "to:example.net",
        "message-id:form H.a",
        "message-id:mx.example.org",
        "boundary:form --=_Aa_9",
        "x-priority:highest",
        "buy",
        "capitals:buy",
        "marks:!",
        "marks:$9",
        "marks:9%",
        "marks:------",
    ] {
        assert!(cut.iter().any(|token| token == one), "no {one} in {cut:?}");
    }
    let never = ["capitals:now", "x-priority:1", "date:", "dkim-signature:"];
    assert!(!cut.iter().any(|token| never.iter().any(|one| token.starts_with(one))), "{cut:?}");
}

#[test]
fn huge_and_hostile_messages_take_linear_time() {
    let start = std::time::Instant::now();
    let received = "Received: from a by b with SMTP; x\r\n".repeat(10_000);
    let header = format!("{received}From: a@example.org\r\n");
    let boundary = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    let deep = format!("{boundary}--b\r\n").repeat(5_000);
    for raw in [
        format!("{header}\r\nx"),
        format!("{header}\r\n{}", "word and another ".repeat(5_000_000 / 17)),
        format!("Content-Transfer-Encoding: base64\r\n\r\n{}", "QUJD\u{1}=@".repeat(700_000)),
        format!("Content-Type: text/html\r\n\r\n{}", "<a href=x><!--".repeat(400_000)),
        format!("Subject: {}\r\n\r\n", "=?utf-8?q?a?= ".repeat(300_000)),
        format!("From: {}\r\n\r\n", "a@b, ".repeat(500_000)),
        format!("To: {}\r\n\r\n", "<".repeat(2_000_000)),
        format!("X-A: b\r\n\r\n{}", "http://a/".repeat(500_000)),
        "x".repeat(5_000_000),
        deep,
    ] {
        let message = Message::parse(raw.as_bytes());
        assert!(tokens(&message).len() <= MAX_TOKENS);
        examine_from(&message, &FromFacts::default());
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
