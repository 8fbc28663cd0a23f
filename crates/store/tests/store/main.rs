//! The store, on SQLite and on PostgreSQL: each test runs on both.

mod accept;
mod accounts;
mod blobs;
mod crash;
mod devices;
mod happened;
mod imports;
mod logins;
mod mailboxes;
mod messages;
mod metadata;
mod model;
mod opening;
mod queue;
mod rules;
mod s3;
mod scram;
mod search;
mod second_step;
mod server;
mod sharing;
mod tls;
mod trust;
mod whole;
mod world;

/// Makes two tests of each function that takes a [`world::World`].
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::world::World::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::world::World::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both;
