//! The learned filter stays as good as it was measured to be (`benches/accuracy.rs`), with a margin.

mod corpus;

use corpus::{cross_validate, load, rates};

#[test]
fn spam_is_caught_and_ham_is_left_alone() {
    let Some(samples) = load() else { return };
    assert_eq!(samples.len(), 1_209, "the whole corpus");
    let judged = cross_validate(&samples, &[1, 2]);
    assert!(judged.iter().all(|one| one.outcome.confident), "half of the corpus is enough");
    let (caught, wrong) = rates(&judged, 0.95);
    println!("{caught:.2} % of spam caught, {wrong:.3} % of ham called spam");
    assert!(caught >= 92.0, "only {caught:.2} % of spam is caught");
    assert!(wrong <= 0.15, "{wrong:.3} % of ham is called spam");
    let kept: usize = samples.iter().map(|sample| sample.tokens.len()).sum();
    assert!(kept / samples.len() < 800, "{} tokens a message", kept / samples.len());
}
