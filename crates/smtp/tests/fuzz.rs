//! Runs the fuzz targets on random input: octets of any kind, and the words of SMTP in any order,
//! which gets further.

use proptest::prelude::*;
use waxwing_smtp::fuzzing::{fuzz_client, fuzz_reply, fuzz_server};

const CLIENT_WORDS: &[&str] = &[
    "EHLO c\r\n",
    "HELO c\r\n",
    "LHLO c\r\n",
    "MAIL FROM:<>",
    "MAIL FROM:<a@x.example>",
    " BODY=BINARYMIME",
    " SMTPUTF8",
    " SIZE=50",
    " RET=FULL ENVID=+41",
    "RCPT TO:<a@x.example>\r\n",
    "RCPT TO:<bob@x.example>\r\n",
    "RCPT TO:<Postmaster> NOTIFY=NEVER\r\n",
    "DATA\r\n",
    "BDAT 5\r\n",
    "BDAT 0 LAST\r\n",
    "BDAT 10 LAST\r\n",
    ".\r\n",
    "..\r\n",
    "text\r\n",
    ".",
    "\r",
    "\n",
    "\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "QUIT\r\n",
    "AUTH PLAIN\r\n",
    "AUTH PLAIN AGFhAHM=\r\n",
    "AUTH LOGIN\r\n",
    "AUTH SCRAM-SHA-256 biwsbj1hLHI9YWJj\r\n",
    "YQ==\r\n",
    "*\r\n",
    "\u{3b4}",
    "@",
    "\"",
    "<",
];

const SERVER_WORDS: &[&str] = &[
    "220 hello\r\n",
    "250 ok\r\n",
    "250-y\r\n",
    "250-PIPELINING\r\n",
    "250-CHUNKING\r\n",
    "250-BINARYMIME\r\n",
    "250-STARTTLS\r\n",
    "250-SIZE 8\r\n",
    "250-LIMITS RCPTMAX=1 MAILMAX=2\r\n",
    "250-AUTH PLAIN LOGIN SCRAM-SHA-256\r\n",
    "250 SMTPUTF8\r\n",
    "354 go\r\n",
    "334 \r\n",
    "334 eA==\r\n",
    "235 2.7.0 in\r\n",
    "550 5.1.1 no\r\n",
    "452 4.5.3 many\r\n",
    "421 4.3.2 bye\r\n",
    "500 what\r\n",
    "\r\n",
    "25",
    "-",
];

fn words(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..6);
    let word = prop_oneof![
        30 => prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => noise,
    ];
    (any::<[u8; 2]>(), prop::collection::vec(word, 0..60))
        .prop_map(|(choice, words)| [choice.as_slice(), &words.concat()].concat())
}

/// A whole dialogue's beginning, so that random words follow inside a transaction.
fn deep(
    words: impl Strategy<Value = Vec<u8>>,
    start: &'static str,
) -> impl Strategy<Value = Vec<u8>> {
    words.prop_map(move |words| {
        let (choice, rest) = words.split_at(2);
        // Neither LMTP nor submission, and enough errors allowed.
        let choice = [choice[0] | 0b0010_0010, choice[1]];
        [&choice, start.as_bytes(), rest].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn server_takes_any_octets(data in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_server(&data);
    }

    #[test]
    fn server_takes_any_words(data in words(CLIENT_WORDS)) {
        fuzz_server(&data);
    }

    #[test]
    fn server_takes_any_words_in_a_transaction(
        data in deep(words(CLIENT_WORDS), "HELO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\n"),
    ) {
        fuzz_server(&data);
    }

    #[test]
    fn server_takes_any_words_as_data(
        data in deep(words(CLIENT_WORDS), "HELO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"),
    ) {
        fuzz_server(&data);
    }

    #[test]
    fn client_takes_any_octets(data in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_client(&data);
    }

    #[test]
    fn client_takes_any_words(data in words(SERVER_WORDS)) {
        fuzz_client(&data);
    }

    #[test]
    fn client_takes_any_words_in_a_transaction(
        data in words(SERVER_WORDS).prop_map(|words| {
            let start = b"220 y\r\n250-y\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 ok\r\n";
            [&words[..2], start, &words[2..]].concat()
        }),
    ) {
        fuzz_client(&data);
    }

    #[test]
    fn replies_are_read_alike_in_pieces(data in words(SERVER_WORDS)) {
        fuzz_reply(&data[1..]);
    }
}
