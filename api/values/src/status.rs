//! The statuses of instances (docs/contract.md, "POST /api/myun/instance"), for the API and
//! for `luoyun-admin`.

/// A status of an instance.
pub struct Status {
    /// The number, in the database and in replies.
    pub number: i64,
    /// The word for it on the command line of `luoyun-admin`.
    pub word: &'static str,
    /// `status_string` in replies.
    pub string: &'static str,
}

/// The number of a deleted instance's status. SQL statements contain it as a literal.
pub const DELETED: i64 = 100;

/// The statuses that the contract names.
pub const STATUSES: [Status; 10] = [
    Status { number: 0, word: "unknown", string: "unknown" },
    Status { number: 1, word: "new", string: "new instance that hasn't run once" },
    Status { number: 2, word: "stopped", string: "instance is stopped" },
    Status { number: 3, word: "started", string: "instance is started by hypervisor" },
    Status { number: 4, word: "connected", string: "osm in instance connected" },
    Status { number: 5, word: "running", string: "application is running" },
    Status { number: 9, word: "suspended", string: "instance is suspend" },
    Status { number: DELETED, word: "deleted", string: "instance is deleted" },
    Status { number: 245, word: "query", string: "instance needs queryed" },
    Status { number: 255, word: "no-disk", string: "the instance disk does not exist" },
];

/// The `status_string` of a number; `Unknown Status` if the contract does not name it.
#[must_use]
pub fn status_string(number: i64) -> &'static str {
    STATUSES
        .iter()
        .find(|status| status.number == number)
        .map_or("Unknown Status", |status| status.string)
}
