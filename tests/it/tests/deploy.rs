//! The files in `deploy/` are consistent with `spin.toml` and the documents.
//! `machines` tests what they do.

use std::os::unix::fs::symlink;
use std::process::Command;

use api_tests::admin::run;
use api_tests::{read, root};
use serde_json::{Value, json};

#[test]
fn every_command_in_the_readme_is_run_by_a_test_or_marked_as_not_tried() {
    let tests = ["machines.rs", "machines/proxy.rs", "machines/servers.rs", "machines/systemd.rs"]
        .map(|file| read(&format!("tests/it/tests/{file}")))
        .concat();
    let tests = tests.replace("\\\"", "\"").replace("\\n", "\n");
    let documents = read("deploy/README.md") + &*read("docs/operations.md");
    let mut tried = 0;
    for fenced in documents.split("\n```").skip(1).step_by(2) {
        let (kind, block) = fenced.split_once('\n').unwrap();
        assert!(["sh tested", "sh not tried", "text"].contains(&kind), "{kind}");
        if kind == "sh tested" {
            // A test names a block by its beginning.
            let mut beginnings = (4..block.len()).filter_map(|end| block.get(..end));
            let is_run = |start: &str| tests.contains(&format!("\"{start}\""));
            assert!(beginnings.any(is_run), "no test runs {block}");
            tried += 1;
        }
    }
    assert!(tried > 10, "{tried}");
}

#[test]
fn the_proxys_refusals_have_the_contracts_form() {
    let (proxy, contract) = (read("deploy/haproxy-http.cfg"), read("docs/contract.md"));
    let lines = proxy.lines().filter_map(|line| line.trim().strip_prefix("http-error status "));
    let statuses = lines.map(|line| {
        let (head, json) = line.split_once(" string ").unwrap();
        let fields = "content-type application/json hdr Cache-Control no-store \
                      hdr X-Content-Type-Options nosniff";
        let (status, retry_after) = head.split_once(&format!(" {fields}")).unwrap();
        assert_eq!(retry_after.contains("hdr Retry-After "), ["429", "503"].contains(&status));
        let reply: Value = serde_json::from_str(json.trim_matches('\'')).unwrap();
        let (desc, error) = (reply["desc"].as_str().unwrap(), reply["error"].as_str().unwrap());
        assert_eq!(reply, json!({"code": 1, "desc": desc, "error": error}));
        assert!(contract.contains(&format!("| `{error}` |")), "{error}");
        status
    });
    assert!(statuses.eq(["400", "405", "408", "429", "500", "502", "503", "504"]));
}

#[test]
fn only_spin_4_1_gets_the_components_for_wasi03_and_only_if_no_source_is_newer() {
    const SOURCES: &str = ".cargo Cargo.toml Cargo.lock spin.toml api migrations";
    let folder = tempfile::tempdir().unwrap();
    symlink(root().canonicalize().unwrap().join("scripts"), folder.path().join("scripts")).unwrap();
    let sh = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-euc", script]).current_dir(&folder).env("PATH", "bin:/usr/bin:/bin");
        let outcome = run(shell.env_remove("LUOYUN_HOST").env_remove("LUOYUN_MANIFEST"), b"");
        assert_eq!(outcome.code, Some(0), "{script}: {outcome:?}");
        outcome.stdout
    };
    sh(&format!("mkdir bin {SOURCES}; touch api/lib.rs spin-wasi03.toml"));
    let (all, faster) = ("spin.toml\n", "spin-wasi03.toml\n");
    for (spin, expected) in [
        ("exit 1", all),
        ("sleep 60", all),
        ("echo Spin Version 6.5.2", all),
        ("echo 'spin 4.0.2 (d8f8d7b 2026-03-16)'", all),
        ("echo 'spin 4.1.0-pre0 (94a8fc8 2026-08-21)'", faster),
        ("echo spin 5.0.0", all),
        ("echo spin 4.10.0", faster),
    ] {
        sh(&format!("printf '#!/bin/sh\n%s\n' \"{spin}\" >bin/spin; chmod +x bin/spin"));
        assert_eq!(sh("scripts/manifest.sh"), expected, "{spin}");
    }
    assert_eq!(sh("touch api/lib.rs; scripts/manifest.sh"), all, "a source is newer");
    assert_eq!(sh("rm spin-wasi03.toml; scripts/manifest.sh"), all, "not built");
    assert_eq!(sh("rm bin/spin; scripts/manifest.sh"), all, "no Spin");
}
