//! Letters and names that pass for others.
//!
//! Two texts look alike when their skeletons are equal, as Unicode's UTS #39 §4 has it; the table
//! here is the part of it that attackers of Latin names use: Cyrillic, Greek, Armenian and Latin
//! letters of the same shape, digits for letters, and pairs that read as one letter (`rn`, `vv`).

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// A text reduced to what it looks like: marks, case and compatibility forms gone, confusable letters
/// replaced by the Latin ones. Not for showing.
pub fn skeleton(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut before_lower = false;
    for c in text.chars() {
        if is_invisible(c) {
            continue;
        }
        // A capital I after a small letter stands for an l: `PayPaI`.
        let c = if c == 'I' && before_lower { 'l' } else { c };
        before_lower = c.is_lowercase();
        decompose_compatible(c, |part| {
            if !is_combining_mark(part) {
                plain.extend(part.to_lowercase().map(latin));
            }
        });
    }
    plain.replace("rn", "m").replace("vv", "w")
}

/// Characters that show nothing: soft hyphen, joiners, zero-width spaces, marks of direction.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Marks that turn the direction of text: `moc.knab` read as `bank.com`.
pub fn turns_direction(text: &str) -> bool {
    text.contains(['\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}'])
}

/// The Latin letter that a small letter or digit looks like.
#[rustfmt::skip]
fn latin(c: char) -> char {
    match c {
        '0' => 'o', '1' | '|' | 'ı' | 'ǀ' | 'ӏ' => 'l', '3' => 'e', '5' | '$' => 's',
        // Cyrillic.
        'а' => 'a', 'в' => 'b', 'с' => 'c', 'ԁ' => 'd', 'е' | 'ё' | 'є' => 'e', 'ғ' => 'f', 'ԍ' => 'g', 'һ' | 'н' => 'h',
        'і' | 'ї' => 'i', 'ј' => 'j', 'к' => 'k', 'м' => 'm', 'п' => 'n', 'о' => 'o', 'р' => 'p', 'ԛ' => 'q', 'г' => 'r',
        'ѕ' => 's', 'т' => 't', 'ц' => 'u', 'ѵ' => 'v', 'ԝ' | 'ш' => 'w', 'х' => 'x', 'у' | 'ү' => 'y',
        // Greek.
        'α' => 'a', 'β' => 'b', 'ε' => 'e', 'η' => 'n', 'ι' => 'i', 'κ' => 'k', 'μ' => 'u', 'ν' => 'v', 'ο' => 'o',
        'ρ' => 'p', 'σ' => 'o', 'ς' | 'ϲ' => 'c', 'τ' => 't', 'υ' => 'u', 'χ' => 'x', 'γ' => 'y', 'ω' => 'w', 'ϳ' => 'j',
        // Armenian.
        'ա' => 'w', 'օ' => 'o', 'ո' => 'n', 'ս' => 'u', 'հ' => 'h', 'ց' => 'g', 'զ' => 'q', 'ք' => 'p',
        // Latin with strokes and hooks, and small capitals; accents are gone already.
        'đ' | 'ɗ' => 'd', 'ħ' => 'h', 'ł' | 'ƚ' | 'ɫ' => 'l', 'ø' => 'o', 'ŧ' => 't', 'ɡ' | 'ɢ' => 'g', 'ɑ' | 'ᴀ' => 'a',
        'ʙ' | 'ƅ' => 'b', 'ᴄ' | 'ƈ' => 'c', 'ᴅ' => 'd', 'ᴇ' => 'e', 'ꜰ' | 'ƒ' => 'f', 'ʜ' => 'h', 'ɪ' | 'ɩ' => 'i', 'ᴊ' => 'j',
        'ᴋ' | 'ƙ' => 'k', 'ʟ' => 'l', 'ᴍ' => 'm', 'ɴ' | 'ƞ' => 'n', 'ᴏ' => 'o', 'ᴘ' | 'ƥ' => 'p', 'ʀ' => 'r', 'ꜱ' => 's',
        'ᴛ' => 't', 'ᴜ' | 'ʋ' => 'u', 'ᴠ' => 'v', 'ᴡ' | 'ɯ' => 'w', 'ʏ' | 'ƴ' => 'y', 'ᴢ' | 'ƶ' => 'z', 'æ' => 'a', 'œ' => 'o',
        // Signs that stand for a dot or a hyphen.
        '。' | '．' | '․' | '·' => '.', '‐'..='―' | '−' => '-',
        c => c,
    }
}

/// How a domain imitates another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Likeness {
    /// It looks the same: `exarnple.org`.
    Same,
    /// One letter is missing, added, changed or exchanged with its neighbour: `exmaple.org`.
    Typo,
    /// The whole real name stands at its beginning: `example.org.login.test`.
    Contained,
}

/// Shorter names are like others by chance.
const MIN_TYPO_CHARS: usize = 7;

/// How `domain` imitates `real`; `None` when it does not, or is `real` or a name below it. Both may
/// be in A-labels or in Unicode.
pub fn imitates(domain: &str, real: &str) -> Option<Likeness> {
    let (domain, real) = (unicode(domain), unicode(real));
    if domain == real || is_below(&domain, &real) || is_below(&real, &domain) || !real.contains('.')
    {
        return None;
    }
    if domain.len() > 1_000 || real.len() > 1_000 {
        return None;
    }
    if domain.starts_with(&format!("{real}.")) {
        return Some(Likeness::Contained);
    }
    let (shape, real_shape) = (skeleton(&domain), skeleton(&real));
    if shape == real_shape || is_below(&shape, &real_shape) {
        return Some(Likeness::Same);
    }
    let long_enough = real.chars().count() >= MIN_TYPO_CHARS;
    // The same name under another top, such as example.net for example.org, is somebody else.
    let name = |text: &str| text.split_once('.').map_or(0, |(name, _)| name.chars().count());
    let tops_agree = domain.rsplit('.').next() == real.rsplit('.').next();
    (long_enough && tops_agree && name(&real) >= 5 && one_slip(&domain, &real))
        .then_some(Likeness::Typo)
}

/// A domain as people read it, in lower case, without the last dot.
pub fn unicode(domain: &str) -> String {
    let (text, _) = idna::domain_to_unicode(domain.trim_end_matches('.'));
    text.to_lowercase()
}

/// Whether `domain` is a name below `parent`.
fn is_below(domain: &str, parent: &str) -> bool {
    domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether one insertion, deletion, substitution or exchange of neighbours makes `a` into `b`.
fn one_slip(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (&a, &b) } else { (&b, &a) };
    let same = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    match long.len() - short.len() {
        0 if same == long.len() => false,
        0 => {
            let rest = same + 1;
            short[rest..] == long[rest..]
                || short.get(same) == long.get(rest)
                    && short.get(rest) == long.get(same)
                    && short.get(rest + 1..) == long.get(rest + 1..)
        }
        1 => short[same..] == long[same + 1..],
        _ => false,
    }
}

/// Whether a label mixes letters of Latin with Cyrillic, Greek or Armenian.
pub fn mixes_scripts(text: &str) -> bool {
    text.split(['.', '-', ' ', '@']).any(|word| {
        let latin = word.chars().any(|c| c.is_ascii_alphabetic() || matches!(c, 'à'..='ɏ'));
        let other = word.chars().any(|c| c.is_alphabetic() && matches!(c, '\u{370}'..='\u{58f}'));
        latin && other
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skeletons() {
        for (fake, real) in [
            ("раураl", "paypal"),
            ("PayPaI", "paypal"),
            ("paypa1", "paypal"),
            ("exarnple", "example"),
            ("g00gle", "google"),
            ("vvaxwing", "waxwing"),
            ("ｅｘａｍｐｌｅ", "example"),
            ("𝐞𝐱𝐚𝐦𝐩𝐥𝐞", "example"),
            ("éxàmplë", "example"),
            ("аррӏе", "apple"),
            ("ѕсоре", "scope"),
            ("ΑΒΕ", "abe"),
            ("micro\u{200b}soft", "microsoft"),
            ("mιcrοsοft", "microsoft"),
        ] {
            assert_eq!(skeleton(fake), skeleton(real), "{fake}");
        }
        for (one, other) in [("alice", "alex"), ("mail", "mali"), ("bank", "tank"), ("Ian", "Jan")]
        {
            assert_ne!(skeleton(one), skeleton(other), "{one}");
        }
    }

    #[test]
    fn domains_that_imitate() {
        use Likeness::{Contained, Same, Typo};
        for (domain, real, likeness) in [
            ("exarnple.org", "example.org", Some(Same)),
            ("www.exarnple.org", "example.org", Some(Same)),
            ("examp1e.org", "example.org", Some(Same)),
            ("xn--80ak6aa92e.com", "apple.com", Some(Same)),
            ("exmaple.org", "example.org", Some(Typo)),
            ("exampel.org", "example.org", Some(Typo)),
            ("examplle.org", "example.org", Some(Typo)),
            ("exampe.org", "example.org", Some(Typo)),
            ("example.org.login.test", "example.org", Some(Contained)),
            ("example.org", "example.org", None),
            ("Example.ORG.", "example.org", None),
            ("mail.example.org", "example.org", None),
            ("example.org", "mail.example.org", None),
            ("example.com", "example.org", None),
            ("other.org", "example.org", None),
            ("ab.de", "ac.de", None),
            ("localhost", "example.org", None),
        ] {
            assert_eq!(imitates(domain, real), likeness, "{domain} for {real}");
        }
    }

    #[test]
    fn scripts_and_direction() {
        assert!(mixes_scripts("pаypal.com"));
        assert!(!mixes_scripts("пример.com"));
        assert!(!mixes_scripts("bücher.example"));
        assert!(turns_direction("abc\u{202e}gpj.exe"));
    }
}
