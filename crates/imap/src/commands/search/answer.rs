//! The responses SEARCH, ESEARCH and SORT.

use crate::connection::Connection;
use crate::reply::Fail;
use crate::selected::View;
use crate::wire::command::SearchReturn;
use crate::wire::out::Out;

/// RFC 5182 §2.4, RFC 9394 §3.2: with MIN, MAX and PARTIAL alone, only those are saved. Some may
/// be named twice.
pub fn what_is_saved(returns: SearchReturn, places: &[u32]) -> Vec<u32> {
    let SearchReturn { min, max, all, count, partial, .. } = returns;
    if all || count || !(min || max || partial.is_some()) {
        return places.to_vec();
    }
    let mut saved = Vec::new();
    saved.extend(places.first().filter(|_| min));
    saved.extend(partial.iter().flat_map(|partial| &places[partial.of(places.len())]));
    saved.extend(places.last().filter(|_| max));
    saved
}

/// What was found, on its way to the client.
pub struct Answer<'a> {
    pub view: &'a View,
    pub uid: bool,
    /// In the order of the mailbox, or of a SORT.
    pub places: &'a [u32],
    pub with_modseq: bool,
}

impl Answer<'_> {
    fn number(&self, place: u32) -> u32 {
        match self.view.row(place) {
            Some(row) if self.uid => row.uid().0,
            _ => place + 1,
        }
    }

    /// `* SEARCH 2 84 882`: one response, however long (RFC 3501 §7.2.5; RFC 5256 §4 for SORT).
    pub async fn list(&self, connection: &mut Connection<'_>, name: &str) -> Result<(), Fail> {
        connection.out.raw("* ").raw(name);
        for &place in self.places {
            connection.out.raw(" ").number(self.number(place));
            connection.relieve().await?;
        }
        if let Some(modseq) = self.highest(self.places) {
            connection.out.raw(" (MODSEQ ").number(modseq).raw(")");
        }
        connection.out.line_end();
        Ok(())
    }

    /// RFC 9051 §7.3.4; RFC 5267 §3 for SORT, whose sets are in its order.
    pub fn esearch(&self, out: &mut Out, tag: &str, returns: SearchReturn) {
        out.raw("* ESEARCH (TAG \"").raw(tag).raw("\")");
        if self.uid {
            out.raw(" UID");
        }
        if let (true, Some(&first)) = (returns.min, self.places.first()) {
            out.raw(" MIN ").number(self.number(first));
        }
        if let (true, Some(&last)) = (returns.max, self.places.last()) {
            out.raw(" MAX ").number(self.number(last));
        }
        if returns.all && !self.places.is_empty() {
            out.raw(" ALL ").set(self.places.iter().map(|&place| self.number(place)));
        }
        if let Some(partial) = returns.partial {
            partial.write(out.raw(" PARTIAL ("));
            match &self.places[partial.of(self.places.len())] {
                [] => out.raw(" NIL)"), // RFC 9394 §3.1
                part => out.raw(" ").set(part.iter().map(|&at| self.number(at))).raw(")"),
            };
        }
        if returns.count {
            out.raw(" COUNT ").number(self.places.len() as u64);
        }
        // RFC 7162 §3.1.10: of what is returned.
        if let Some(modseq) = self.highest(&what_is_saved(returns, self.places)) {
            out.raw(" MODSEQ ").number(modseq);
        }
        out.line_end();
    }

    fn highest(&self, places: &[u32]) -> Option<u64> {
        let modseqs = places.iter().filter_map(|&place| self.view.row(place));
        modseqs.map(|row| row.modseq().0).max().filter(|_| self.with_modseq)
    }
}
