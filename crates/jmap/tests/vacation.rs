//! VacationResponse through a real store.

mod world;

use serde_json::{Value, json};
use world::World;

#[tokio::test]
async fn there_is_one_and_it_is_changed() {
    let world = World::new().await;
    let (_, first) = world.one("VacationResponse/get", json!({"ids": null})).await;
    let none = json!({"id": "singleton", "isEnabled": false, "fromDate": null, "toDate": null,
        "subject": null, "textBody": null, "htmlBody": null});
    assert_eq!(first["list"], json!([none]));
    let patch = json!({"isEnabled": true, "fromDate": "2025-12-01T00:00:00Z", "subject": "Away", "textBody": "Back on Monday"});
    let asked = json!({"create": {"x": {}}, "update": {"singleton": patch, "other": {}}, "destroy": ["singleton"]});
    let (_, set) = world.one("VacationResponse/set", asked).await;
    assert_eq!(set["updated"], json!({"singleton": null}));
    assert_eq!(set["notCreated"]["x"]["type"], "singleton");
    assert_eq!(set["notUpdated"]["other"]["type"], "notFound");
    assert_eq!(set["notDestroyed"]["singleton"]["type"], "singleton");
    let (_, now) = world.one("VacationResponse/get", json!({"ids": ["singleton", "x"]})).await;
    let one = &now["list"][0];
    assert_eq!(
        [&one["isEnabled"], &one["fromDate"], &one["subject"]],
        [&json!(true), &json!("2025-12-01T00:00:00Z"), &json!("Away")]
    );
    assert_eq!(now["notFound"], json!(["x"]));
    assert_ne!(now["state"], first["state"]);
    let bad =
        json!({"update": {"singleton": {"isEnabled": null, "toDate": "tomorrow", "subject": 1}}});
    let (_, set) = world.one("VacationResponse/set", bad).await;
    assert_eq!(
        set["notUpdated"]["singleton"]["properties"],
        json!(["isEnabled", "toDate", "subject"])
    );
    let bad = json!({"update": {"singleton": {"nothing": 1}}});
    let (_, set) = world.one("VacationResponse/set", bad).await;
    assert_eq!(set["notUpdated"]["singleton"]["properties"], json!(["nothing"]));
    assert_eq!(set["updated"], Value::Null);
}
