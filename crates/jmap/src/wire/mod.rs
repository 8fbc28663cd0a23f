//! JMAP as data: what is on the wire, read and written. Pure; nothing here knows a store's rows beyond
//! their ids.
//!
//! | file | RFC 8620 |
//! |---|---|
//! | `json` | §1.5: I-JSON, bounded |
//! | `id` | §1.2, and the letters of each kind of id |
//! | `blob_id` | ids of binary data |
//! | `date` | §1.4 |
//! | `request` | §3.2 to §3.4 |
//! | `reference` | §3.7: results of earlier methods as arguments |
//! | `patch` | §5.3: PatchObject |
//! | `filter` | §5.5: filters and comparators of any condition |
//! | `state` | §5.2: states, and states within a state |
//! | `error` | §3.6 and §5.3 |

pub mod blob_id;
pub mod date;
pub mod error;
pub mod filter;
pub mod id;
pub mod json;
pub mod patch;
pub mod reference;
pub mod request;
pub mod state;

/// Entry point for fuzzing: a request, its references to responses that are its own arguments, and every argument
/// read as a patch, a filter, a blob id, a state.
#[doc(hidden)]
pub fn fuzz_request(data: &[u8]) {
    let Ok(request) = request::Request::read(data, 32) else { return };
    let mut responses = Vec::new();
    let mut left = reference::COPIED_OCTETS_MAX;
    for call in request.method_calls {
        let Ok(arguments) = reference::resolve(call.arguments, &responses, &mut left) else {
            continue;
        };
        for value in arguments.values() {
            let _ = filter::Filter::read(value.clone(), &mut |members| Ok(members.len()));
            let _ = filter::Comparator::read_all(Some(value.clone()));
            if let Some(members) = value.as_object()
                && let Ok(patch) = patch::Patch::read(members.clone())
            {
                let _ = patch.apply(&mut arguments.clone());
            }
            if let Some(text) = value.as_str() {
                if let Some(blob) = blob_id::Blob::read(text) {
                    assert_eq!(blob.to_string(), text);
                }
                if let Some(state) = state::State::read(text) {
                    assert_eq!(state.to_string(), text);
                }
                let _ = date::read_utc(text).map(date::utc);
            }
        }
        responses.push((call.name, serde_json::Value::Object(arguments), call.call_id));
    }
}
