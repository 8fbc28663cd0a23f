//! Reading one mailbox of the server to its end, over as many connections as it takes.

use std::collections::BTreeSet;

use anyhow::Result;
use waxwing_migrate::flags::Gathered;
use waxwing_migrate::print;
use waxwing_store::{ImportMark, Uid};

use super::super::files::unfit;
use super::super::intake::{Arrived, Arriving, Outlet};
use super::super::places::Place;
use super::session::{Fail, Fetched, Listed, Session};
use super::{Patience, Server};

/// Messages asked for at once; the next ones are asked for while these come.
const WINDOW: u32 = 32;
/// Connections that end at the same message: from then on it is asked for alone, and then passed over.
const ALONE_AFTER: u32 = 2;
const PASSED_OVER_AFTER: u32 = 4;

/// A mailbox being read.
pub struct Reading {
    listed: Listed,
    place: Place,
    /// Of the server; UIDs mean nothing else.
    uid_validity: Option<u32>,
    /// Everything up to here was handed over, or failed.
    uid: u32,
    /// The last one that was; between the two are gaps, to be filled before this connection goes on.
    highest: u32,
    /// Those that were handed over from behind a gap: the next connection meets them again.
    beyond: BTreeSet<u32>,
    /// Nothing failed so far: the mark may move.
    whole: bool,
    /// The meter knows how many there are.
    counted: bool,
}

/// How one connection's reading ended.
enum Break {
    Server(Fail),
    /// The import is over.
    Here(anyhow::Error),
}

impl From<Fail> for Break {
    fn from(fail: Fail) -> Break {
        Break::Server(fail)
    }
}

impl Reading {
    pub fn new(listed: Listed, place: Place) -> Reading {
        Reading {
            listed,
            place,
            uid_validity: None,
            uid: 0,
            highest: 0,
            beyond: BTreeSet::new(),
            whole: true,
            counted: false,
        }
    }

    /// To the end of the mailbox. A mailbox that cannot be opened is a failure, not the end.
    pub async fn run(mut self, server: &mut Server, outlet: &Outlet) -> Result<()> {
        let mut patience = Patience::default();
        loop {
            let before = self.uid;
            let scope = [server.host.clone(), server.from.login.clone()];
            let careful = patience.attempts;
            let ended = match server.session().await {
                Ok(session) => self.read(session, &scope, careful, outlet).await,
                Err(fail) => Err(Break::Server(fail)),
            };
            match ended {
                Ok(()) => return Ok(()),
                Err(Break::Here(error)) => return Err(error),
                Err(Break::Server(fail)) => {
                    if self.uid > before {
                        patience = Patience::default();
                    }
                    server.wait(&mut patience, fail).await?;
                }
            }
        }
    }

    async fn failed(&mut self, outlet: &Outlet, what: String, why: &str) -> Result<(), Break> {
        self.whole = false;
        outlet.send(Arriving::Failed(what, why.to_owned())).await.map_err(|e| Break::Here(e.into()))
    }

    /// Over one connection. `careful`: connections in a row that ended where this one begins.
    async fn read(
        &mut self,
        session: &mut Session,
        scope: &[String; 2],
        careful: u32,
        outlet: &Outlet,
    ) -> Result<(), Break> {
        let opened = match session.examine(&self.listed.wire).await? {
            Ok(opened) => opened,
            Err(why) => {
                let name = self.listed.name.clone();
                return self
                    .failed(outlet, name, &format!("the server does not open it: {why}"))
                    .await;
            }
        };
        let [host, login] = scope;
        let (Place::Role(_, target) | Place::Name(target)) = &self.place;
        let source = print::source(&[host, login, &self.listed.wire, target], opened.uid_validity);
        if self.uid_validity != Some(opened.uid_validity) {
            self.uid_validity = Some(opened.uid_validity);
            let mark = outlet.store.import_mark(outlet.account, source).await;
            self.uid = mark.map_err(|error| Break::Here(error.into()))?.map_or(0, |uid| uid.0);
            // A server without UIDVALIDITY does not promise that UIDs stay: all is looked at each time.
            self.whole &= opened.uid_validity != 0;
            self.highest = self.uid;
            self.beyond.clear();
        }
        let mut next = first_after(session, self.uid, opened.exists).await?;
        if !std::mem::replace(&mut self.counted, true) {
            outlet.meter.expect(u64::from((opened.exists + 1).saturating_sub(next)));
        }
        if careful >= ALONE_AFTER && next <= opened.exists {
            if careful >= PASSED_OVER_AFTER {
                let uid = session.uid_of(next).await?.unwrap_or(self.uid + 1);
                let why = "the server ends the connection whenever it is asked for this message";
                self.failed(outlet, self.name(uid), why).await?;
                self.uid = uid;
            } else {
                let uid = self.single(session, next, source, outlet).await?;
                self.done_up_to(uid.unwrap_or(self.uid));
            }
            next += 1;
        }
        let mut asked = None;
        while next <= opened.exists || asked.is_some() {
            let ahead = match next <= opened.exists {
                true => {
                    let last = opened.exists.min(next + WINDOW - 1);
                    let tag = session.ask_for(next, last).await?;
                    Some((tag, std::mem::replace(&mut next, last + 1), last))
                }
                false => None,
            };
            if let Some((tag, first, last)) = std::mem::replace(&mut asked, ahead) {
                let missing = self.window(session, &tag, first, last, source, outlet).await?;
                if !missing.is_empty() {
                    // The window that is on its way has to come first.
                    let mut later = Vec::new();
                    if let Some((tag, first, last)) = asked.take() {
                        later = self.window(session, &tag, first, last, source, outlet).await?;
                    }
                    for number in missing.into_iter().chain(later) {
                        self.single(session, number, source, outlet).await?;
                    }
                    // All that was asked for is here, or failed.
                    self.done_up_to(self.highest);
                }
            }
        }
        Ok(())
    }

    /// What comes of one FETCH. Gives the numbers of those that did not come.
    async fn window(
        &mut self,
        session: &mut Session,
        tag: &str,
        first: u32,
        last: u32,
        source: [u8; 16],
        outlet: &Outlet,
    ) -> Result<Vec<u32>, Break> {
        let mut missing: Vec<u32> = (first..=last).collect();
        loop {
            match session.next_fetched(tag, &outlet.store).await? {
                Err(_) => return Ok(missing),
                Ok(fetched) => {
                    let number = fetched.number;
                    let Some(place) = missing.iter().position(|other| *other == number) else {
                        continue;
                    };
                    // Behind a gap: the mark has to stay below it.
                    self.whole &= place == 0 || fetched.body().is_none();
                    if let Some(uid) = self.hand_over(fetched, source, outlet).await? {
                        missing.remove(place);
                        if place == 0 {
                            self.done_up_to(uid);
                        }
                    }
                }
            }
        }
    }

    /// A message that did not come with the others, asked for alone. Gives its UID, if that is known.
    async fn single(
        &mut self,
        session: &mut Session,
        number: u32,
        source: [u8; 16],
        outlet: &Outlet,
    ) -> Result<Option<u32>, Break> {
        let tag = session.ask_for(number, number).await?;
        let mut came = None;
        let end = loop {
            match session.next_fetched(&tag, &outlet.store).await? {
                Ok(fetched) if fetched.number == number => {
                    came = self.hand_over(fetched, source, outlet).await?.or(came);
                }
                Ok(_) => {}
                Err(end) => break end,
            }
        };
        if came.is_some() {
            return Ok(came);
        }
        let uid = session.uid_of(number).await?;
        let what = match uid {
            Some(uid) => self.name(uid),
            None => format!("{}, message {number}", self.listed.name),
        };
        outlet.meter.advance(1);
        self.failed(outlet, what, &format!("the server does not give it: {}", end.text)).await?;
        Ok(uid)
    }

    /// Gives its UID; `None`: that was not a whole message.
    async fn hand_over(
        &mut self,
        fetched: Fetched,
        source: [u8; 16],
        outlet: &Outlet,
    ) -> Result<Option<u32>, Break> {
        let uid = fetched.item("UID").and_then(|uid| uid.number());
        let (Some(uid), Some((spool, too_large))) = (uid, fetched.body()) else {
            return Ok(None);
        };
        if !self.beyond.insert(uid) {
            return Ok(Some(uid));
        }
        outlet.meter.advance(1);
        self.highest = self.highest.max(uid);
        if let Some(why) = unfit(&spool, too_large) {
            self.failed(outlet, self.name(uid), why).await?;
            return Ok(Some(uid));
        }
        let mut flags = Gathered::default();
        for flag in fetched.item("FLAGS").map(|flags| flags.texts()).unwrap_or_default() {
            flags.imap(&flag);
        }
        let arrived = Arrived {
            places: vec![self.place.clone()],
            spool,
            received_at: fetched.item("INTERNALDATE").and_then(|at| at.moment()),
            flags: flags.finish(),
            what: self.name(uid),
            mark: self.whole.then_some(ImportMark { source, uid: Uid(uid) }),
        };
        let sent = outlet.send(Arriving::Message(Box::new(arrived))).await;
        sent.map_err(|error| Break::Here(error.into()))?;
        Ok(Some(uid))
    }

    /// Nothing is left to do up to that UID.
    fn done_up_to(&mut self, uid: u32) {
        self.uid = self.uid.max(uid);
        self.beyond.retain(|beyond| *beyond > uid);
    }

    fn name(&self, uid: u32) -> String {
        format!("{}, UID {uid}", self.listed.name)
    }
}

/// The number of the first message whose UID comes after that one: UIDs ascend with numbers, so a few
/// questions find it among millions.
async fn first_after(session: &mut Session, uid: u32, exists: u32) -> Result<u32, Fail> {
    let (mut low, mut high) = (1, exists + 1);
    if uid == 0 {
        return Ok(1);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        match session.uid_of(middle).await? {
            Some(found) if found <= uid => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
