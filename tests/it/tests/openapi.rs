//! The examples of `api/openapi.yaml`: the server answers each request example with the reply
//! example of the same name. The other reply examples are errors, which a test request provokes.

use std::collections::{BTreeMap, BTreeSet};

use api_tests::cases::{FORM, without_key};
use api_tests::{LIST, LOGIN, Server, Setup, read};
use serde_json::Value;

/// The session key of the design document; in a request example, it stands for a valid key.
const SAMPLE_KEY: &str = "0ebfda3c29a9d961c181e2a9424b88e72aa93003";

/// The target of `value`'s `$ref`, or `value` itself if it has none.
fn resolve<'a>(contract: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    pointer
        .map_or(value, |pointer| contract.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")))
}

/// The reply examples of an operation by name, with their HTTP status.
fn replies(contract: &Value, operation: &Value) -> BTreeMap<String, (u16, Value)> {
    let mut replies = BTreeMap::new();
    for (status, response) in operation["responses"].as_object().unwrap() {
        let examples = &resolve(contract, response)["content"]["application/json"]["examples"];
        for (name, example) in examples.as_object().expect("every response has examples") {
            let value = resolve(contract, example)["value"].clone();
            replies.insert(name.clone(), (status.parse().unwrap(), value));
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
fn provoke(server: &Server, path: &str, name: &str) -> (u16, Value) {
    let mut client = server.connect();
    let mut request =
        |method, field: &str, body: &[u8]| client.request(method, path, &[field], body);
    let response = match name {
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
    };
    (response.status, response.json())
}

#[test]
fn every_example_is_what_the_server_answers() {
    let locked = "INSERT INTO users (username, password, is_locked)
        VALUES ('locked', 'adec79fd87d04960046628531c4a56b714d160d8', 1);";
    let server = Server::start(Setup { sql: locked, ..Setup::default() });
    let contract: Value = serde_saphyr::from_str(&read("api/openapi.yaml")).unwrap();
    let paths = contract["paths"].as_object().unwrap();
    // Bodies that never arrive, all at once, as each waits for its reply.
    let late = |(path, method, media_type): (&str, &str, &str)| {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\n\
             Content-Length: 9\r\n\r\na="
        );
        let mut client = server.connect();
        client.send(head.as_bytes());
        client
    };
    let mut late_forms: BTreeMap<_, _> =
        paths.keys().map(|path| (path, late((path, "POST", "")))).collect();
    let others = [
        ("/", "GET", "text/plain", 408),
        ("/", "POST", "", 405),
        (LOGIN, "POST", "application/json", 415),
        (LOGIN, "GET", "", 405),
        (LIST, "POST", "text/plain", 415),
        (LIST, "PUT", "", 405),
    ];
    let late_others = others.map(|(path, method, media_type, _)| late((path, method, media_type)));
    let mut words = BTreeSet::new();
    for (path, item) in paths {
        let operation = &item["post"];
        let mut replies = replies(&contract, operation);
        let requests = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"];
        for (name, request) in requests["examples"].as_object().unwrap() {
            let key = server.log_in("luoyun");
            let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
            let parameters = request["value"].as_object().unwrap().iter();
            let form: Vec<_> = parameters
                .map(|(name, value)| (name.as_str(), text(value).replace(SAMPLE_KEY, &key)))
                .collect();
            let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let response = server.connect().post(path, &form);
            let expected =
                replies.remove(name).unwrap_or_else(|| panic!("{path}: no reply {name}"));
            let found = (response.status, normalised(response.json()));
            let expected = (expected.0, normalised(expected.1));
            assert_eq!(found, expected, "{path}: {name}");
            words.extend(expected.1["error"].as_str().map(str::to_owned));
        }
        for (name, (status, reply)) in replies {
            // `floods.rs` provokes it, as it needs a busy host, and compares it.
            if name == "busy" {
                words.insert(name);
                continue;
            }
            let (found_status, found) = match name.as_str() {
                "request_timeout" => {
                    let response = late_forms.get_mut(path).unwrap().receive(false);
                    assert_eq!(response.header("connection"), Some("close"), "{path}");
                    (response.status, response.json())
                }
                _ => provoke(&server, path, &name),
            };
            let expected = (status, normalised(reply));
            assert_eq!((found_status, normalised(found)), expected, "{path}: {name}");
            words.insert(name);
        }
    }

    for (mut client, other) in late_others.into_iter().zip(others) {
        let response = client.receive(false);
        let found = (response.status, response.header("connection"));
        assert_eq!(found, (other.3, Some("close")), "{other:?}");
    }

    let manifest = read("spin.toml");
    let routes = manifest.lines().filter_map(|line| line.strip_prefix("route = \"/api/"));
    let routes: BTreeSet<_> =
        routes.map(|route| format!("/api/{}", route.trim_matches('"'))).collect();
    let paths = paths.keys().cloned().collect();
    assert_eq!(routes, paths, "the routes of spin.toml and the paths of openapi.yaml");

    // Every error word has an example, except not_found, which no path of the API returns.
    let refused = &contract["components"]["schemas"]["Refused"]["properties"]["error"]["oneOf"];
    let named = refused.as_array().unwrap().iter().map(|word| word["const"].as_str().unwrap());
    words.insert("not_found".to_owned());
    assert_eq!(words, named.map(str::to_owned).collect());
}
