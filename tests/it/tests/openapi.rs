//! The examples of `api/openapi.yaml`: the server answers each request example with the reply
//! example of the same name. The other reply examples are errors, which a test request provokes, here
//! or, if that takes long, in `floods.rs` and `framing.rs`.

use std::collections::{BTreeMap, BTreeSet};

use api_tests::cases::{FORM, without_key};
use api_tests::{Response, Server, Setup, contract, toml};
use serde_json::Value;

/// The session key of the design document; in a request example, it stands for a valid key.
const SAMPLE_KEY: &str = "0ebfda3c29a9d961c181e2a9424b88e72aa93003";

/// The target of `value`'s `$ref`, or `value` itself if it has none.
fn resolve<'a>(contract: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    contract.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"))
}

/// The reply examples of an operation by name, with their HTTP status.
fn replies<'a>(contract: &'a Value, operation: &'a Value) -> BTreeMap<&'a str, (u16, &'a Value)> {
    let mut replies = BTreeMap::new();
    for (status, response) in operation["responses"].as_object().unwrap() {
        let examples = &resolve(contract, response)["content"]["application/json"]["examples"];
        for (name, example) in examples.as_object().expect("every response has examples") {
            let value = &resolve(contract, example)["value"];
            replies.insert(name.as_str(), (status.parse().unwrap(), value));
        }
    }
    replies
}

/// Replaces the parts that differ between replies: a new session key, and the wait in seconds.
fn normalised(mut reply: Value) -> Value {
    if reply["error"] == "too_many_attempts" {
        reply["desc"] = reply["desc"].as_str().unwrap().replace(char::is_numeric, "").into();
    }
    without_key(reply)
}

/// Provokes the error reply `name`, which no request example has.
fn provoke(server: &Server, path: &str, name: &str) -> Response {
    let mut client = server.connect();
    let mut request =
        |method, field: &str, body: &[u8]| client.request(method, path, &[field], body);
    match name {
        "method_not_allowed" => request("GET", FORM, b""),
        "unsupported_media_type" => request("POST", "Content-Type: application/json", b"{}"),
        "body_too_large" => request("POST", FORM, &vec![b'a'; 65_537]),
        "cross_site" => request("POST", "Sec-Fetch-Site: cross-site", b"username=a&password=b"),
        "too_many_attempts" => {
            let mut wrong = || request("POST", FORM, b"username=guessed&password=wrong");
            for _ in 0..5 {
                let _ = wrong();
            }
            wrong()
        }
        "internal" => {
            let key = server.log_in("gallery");
            server.sql("ALTER TABLE users RENAME TO away");
            let form = "username=gallery&password=gallery&instance_id=5&session_key=";
            let response = request("POST", FORM, format!("{form}{key}").as_bytes());
            server.sql("ALTER TABLE away RENAME TO users");
            response
        }
        other => panic!("{path}: no request has the reply example {other}"),
    }
}

/// Sends the request example `parameters` with a valid session key.
fn send(server: &Server, path: &str, parameters: &Value) -> Response {
    let key = server.log_in("luoyun");
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let parameters = parameters.as_object().unwrap().iter();
    let form = parameters.map(|(name, value)| (name, text(value).replace(SAMPLE_KEY, &key)));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    server.connect().request("POST", path, &[FORM], body.as_bytes())
}

#[test]
fn every_example_is_what_the_server_answers() {
    let locked = "INSERT INTO users (username, password, is_locked)
        VALUES ('locked', 'adec79fd87d04960046628531c4a56b714d160d8', 1);";
    let server = Server::start(Setup { sql: locked, ..Setup::default() });
    let contract = contract();
    let paths = contract["paths"].as_object().unwrap();
    let mut words = BTreeSet::from(["not_found"]);
    for (path, item) in paths {
        let operation = &item["post"];
        let requests = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"];
        let mut requests = requests["examples"].as_object().unwrap().clone();
        for (name, (status, reply)) in replies(&contract, operation) {
            words.extend(reply["error"].as_str());
            let response = match (requests.remove(name), name) {
                (Some(request), _) => send(&server, path, &request["value"]),
                (None, "busy" | "request_timeout") => continue,
                (None, _) => provoke(&server, path, name),
            };
            let found = (response.status, normalised(response.json()));
            assert_eq!(found, (status, normalised(reply.clone())), "{path}: {name}");
        }
        assert!(requests.is_empty(), "{path}: no reply is named {requests:?}");
    }

    let triggers = &toml("spin.toml")["trigger"]["http"];
    let routes =
        triggers.as_array().unwrap().iter().filter_map(|trigger| trigger["route"].as_str());
    let routes: BTreeSet<_> = routes.filter(|route| route.starts_with("/api/")).collect();
    let paths = paths.keys().map(String::as_str).collect();
    assert_eq!(routes, paths, "the routes of spin.toml and the paths of openapi.yaml");

    // Every error word has an example, except not_found, which no path of the API returns.
    let refused = &contract["components"]["schemas"]["Refused"]["properties"]["error"]["oneOf"];
    let named = refused.as_array().unwrap().iter().map(|word| word["const"].as_str().unwrap());
    assert_eq!(words, named.collect());
}
