//! The commands about scripts (RFC 5804 §2.5 to §2.12), and what the driver's answers come to.

use super::{Action, Session};
use crate::scripts::{Answer, Request};
use crate::wire::command::Command;
use crate::wire::response::{self, Code, Status};

impl Session {
    pub(super) fn script_command(&mut self, command: Command) {
        if self.login().is_none() {
            return self.no("log in first");
        }
        let request = match command {
            Command::HaveSpace(_, octets) if octets > self.settings.max_script_octets => {
                return self.end(Status::No, Some(&Code::QuotaMaxSize), "that is too large");
            }
            Command::HaveSpace(name, octets) => Request::HaveSpace { name, octets },
            Command::PutScript(name, content) => Request::Put { name, content },
            Command::CheckScript(content) => Request::Check { content },
            Command::ListScripts => Request::List,
            Command::SetActive(name) => Request::SetActive { name },
            Command::GetScript(name) => Request::Get { name },
            Command::DeleteScript(name) => Request::Delete { name },
            Command::RenameScript(old, new) => Request::Rename { old, new },
            _ => return self.no("there is no such command"),
        };
        self.ask(Action::Request(request));
    }

    /// Answers [`Action::Request`].
    pub fn answer(&mut self, answer: Answer) {
        if !std::mem::take(&mut self.waiting) || self.login().is_none() {
            return;
        }
        let (status, code, text) = match answer {
            Answer::Done => (Status::Ok, None, "done".to_owned()),
            Answer::Warned(text) => (Status::Ok, Some(Code::Warnings), text),
            Answer::Script(content) => {
                response::literal(&mut self.output, &content);
                self.output.extend_from_slice(b"\r\n");
                (Status::Ok, None, "that is the script".to_owned())
            }
            Answer::List(list) => {
                for script in list {
                    response::string(&mut self.output, script.name.as_bytes());
                    let active = if script.active { " ACTIVE\r\n" } else { "\r\n" };
                    self.output.extend_from_slice(active.as_bytes());
                }
                (Status::Ok, None, "these are the scripts".to_owned())
            }
            Answer::Faulty(text) => (Status::No, None, text),
            Answer::NonExistent => {
                (Status::No, Some(Code::NonExistent), "there is no script of that name".to_owned())
            }
            Answer::AlreadyExists => (
                Status::No,
                Some(Code::AlreadyExists),
                "there is a script of that name already".to_owned(),
            ),
            Answer::Active => (
                Status::No,
                Some(Code::Active),
                "the active script cannot be deleted: make another one active first".to_owned(),
            ),
            Answer::TooMany => {
                (Status::No, Some(Code::QuotaMaxScripts), "there are too many scripts".to_owned())
            }
            Answer::TooLarge => {
                (Status::No, Some(Code::QuotaMaxSize), "the script is too large".to_owned())
            }
            Answer::NoSpace => (Status::No, Some(Code::Quota), "no space is left".to_owned()),
            Answer::TryLater => (
                Status::No,
                Some(Code::TryLater),
                "the server has a problem: try again later".to_owned(),
            ),
        };
        self.end(status, code.as_ref(), &text);
    }
}
