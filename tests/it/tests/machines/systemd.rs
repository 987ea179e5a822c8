//! One machine under systemd: the commands of the documents, as root types them, in a container with
//! Debian's systemd.

use std::env;
use std::time::{Duration, Instant};

use api_tests::admin::Outcome;
use api_tests::server::{Process, repeat_beside, wait_until};
use api_tests::{read, root};
use serde_json::Value;

use super::has_spin;
use super::servers::{Site, readme, settings};

/// Programs of the machine: devhost as Spin 4.1, and what `git pull` and `make build admin` do where
/// there are a remote and a compiler.
const PROGRAMS: &str = r#"
    mkdir bin; cp "$(command -v devhost)" bin; ln -s /bin/true bin/git
    cat >bin/spin <<'END'
#!/bin/sh
[ "$1" = up ] || { echo "spin 4.1.0"; exit; }
shift
exec devhost --variable client_address_header="$SPIN_VARIABLE_CLIENT_ADDRESS_HEADER" "$@"
END
    cat >bin/make <<'END'
#!/bin/sh
cd /new
cp -a --parents .cargo Cargo.* api deploy migrations scripts spin*.toml target/wasm32-wasip1/*/*.wasm \
    target/debug/luoyun-admin /opt/luoyun-api
END
    chmod +x bin/*"#;

/// How long the proxy sends requests again.
const RETRIES: Duration = Duration::from_secs(2);

struct Machine {
    site: Site,
    container: Process,
    /// The command that enters the container.
    enter: String,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A systemd-nspawn that is killed leaves its container running.
        let id = self.container.id();
        self.site.try_run(&format!("kill -KILL $(cat /proc/{id}/task/{id}/children)"), "");
    }
}

impl Machine {
    /// Boots the machine in `folder`, with this tree in `/opt/luoyun-api`.
    fn boot(folder: &str) -> Self {
        let site = Site::new();
        site.make_certificate();
        site.run(PROGRAMS);
        if has_spin() {
            site.run("cp \"$(command -v spin)\" bin/spin");
        }
        let container = site.start_command(&format!(
            "systemd-nspawn --quiet --directory '{folder}' --volatile=overlay --private-network \
             --register=no --keep-unit '--bind-ro={}:/new' '--bind-ro={}:/given' --boot",
            root().canonicalize().unwrap().display(),
            site.path("").display(),
        ));
        let enter = format!(
            "nsenter --target $(cat /proc/{0}/task/{0}/children) --all env -i HOME=/root \
             PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -euc",
            container.id()
        );
        let machine = Self { site, container, enter };
        let is_up = "systemctl is-system-running | grep -E 'running|degraded'";
        wait_until("systemd", || machine.try_run(is_up).code == Some(0));
        machine.run("cp -a /given/bin/* /usr/local/bin; mkdir /opt/luoyun-api; make");
        machine
    }

    fn try_run(&self, script: &str) -> Outcome {
        self.site.try_run(&format!("{} '{}'", self.enter, script.replace('\'', r"'\''")), "")
    }

    #[track_caller]
    fn run(&self, script: &str) -> String {
        let outcome = self.try_run(script);
        assert_eq!(outcome.code, Some(0), "{script}: {outcome:?}\n{}", self.journal());
        outcome.stdout
    }

    /// Runs the documents' commands that start with `first_line`.
    #[track_caller]
    fn run_readme(&self, first_line: &str) {
        // A password, for the command that asks for one.
        self.run(&format!("{{\n{}}} <<END\nsecret\nEND", readme(first_line)));
    }

    fn journal(&self) -> String {
        self.try_run("journalctl --no-pager -o cat -u luoyun-api -u haproxy").stdout
    }

    /// Sends a form through the proxy; returns the reply.
    fn post(&self, path: &str, form: &str) -> String {
        let curl = "curl --silent --show-error --cacert /etc/luoyun-api.pem https://localhost";
        self.try_run(&format!("{curl}/api/{path} -d '{form}'")).stdout
    }

    fn list(&self, key: &str) -> String {
        self.post("myun/instance", &format!("session_key={key}"))
    }

    /// Logs in, as soon as the server is up, and finds one instance; returns the session key.
    #[track_caller]
    fn log_in(&self) -> String {
        let mut reply = Value::Null;
        wait_until("the server", || {
            let text = self.post("login", "username=ada&password=secret");
            reply = serde_json::from_str(&text).unwrap_or_default();
            reply["code"].is_number() && reply["error"] != "busy"
        });
        let key = reply["session_key"].as_str();
        let key = key.unwrap_or_else(|| panic!("{reply}\n{}", self.journal()));
        let list = self.list(key);
        assert!(list.contains("gallery"), "{list}\n{}", self.journal());
        key.to_owned()
    }

    /// Runs `meanwhile` beside clients. No request may fail, if the server is back in time.
    #[track_caller]
    fn under_load(&self, key: &str, meanwhile: &str) {
        let begin = Instant::now();
        let client = |_| || self.list(key);
        let (replies, took) = repeat_beside(4, client, || {
            self.run(meanwhile);
            wait_until("the server", || self.list(key).contains("gallery"));
            begin.elapsed()
        });
        let failed: Vec<_> = replies.iter().filter(|reply| !reply.contains("gallery")).collect();
        println!("{meanwhile}: {took:.1?}, {} of {} failed", failed.len(), replies.len());
        assert!(failed.is_empty() || took > RETRIES, "{failed:?}\n{}", self.journal());
    }

    /// Waits until Spin serves `manifest`: a process may still be starting.
    fn assert_serves(&self, manifest: &str) {
        let line = "tr '\\0' ' ' </proc/$(systemctl show -P MainPID luoyun-api)/cmdline";
        let argument = format!(" {manifest} ");
        wait_until(&argument, || self.try_run(line).stdout.contains(&argument));
    }
}

#[test]
#[ignore = "needs root and systemd: make test-deploy"]
fn a_machine_is_installed_and_operated_as_the_documents_say() {
    let folder = env::var("LUOYUN_MACHINE").unwrap_or_default();
    if folder.is_empty() {
        println!("Not run, as no systemd-nspawn boots here.");
        return;
    }
    let machine = Machine::boot(&folder);
    let (haproxy, api) = (settings("SPIN_1="), settings("SPIN_VARIABLE_"));
    machine.run(&format!(
        "umask 077; cp /given/localhost.key.pem /etc/luoyun-api.pem
         cat >/etc/default/haproxy <<'END'\n{haproxy}END\ncat >/etc/luoyun-api.env <<'END'\n{api}END"
    ));
    machine.run_readme("cd /opt/luoyun-api\nsystemctl restart haproxy");
    let admin = "luoyun-admin --db /var/lib/luoyun-api/sqlite_db.db";
    machine.run(&format!("{admin} node add a --ip 10.0.0.2"));
    machine.run(&format!("{admin} instance add --owner ada --node a --name gallery"));
    let key = machine.log_in();

    machine.run_readme("cd /var/lib/luoyun-api\nmkdir");
    for lost in [&*format!("{admin} instance remove 1"), "rm -r /var/lib/luoyun-api/sqlite_*"] {
        machine.run(lost);
        machine.run_readme("systemctl stop luoyun-api\n");
        machine.log_in();
        assert!(machine.list(&key).contains("auth_required"), "the restore ends all sessions");
    }

    let key = machine.log_in();
    for meanwhile in [
        "systemctl restart luoyun-api",
        "kill -KILL $(systemctl show -P MainPID luoyun-api)",
        "systemctl reload haproxy",
    ] {
        machine.under_load(&key, meanwhile);
    }

    // Components for WASI 0.3 that are older than the sources, and do not work.
    let manifest = machine.run("/opt/luoyun-api/scripts/manifest.sh");
    machine.assert_serves(manifest.trim());
    machine.run(
        "cd /opt/luoyun-api; touch api/common/src/lib.rs
         cp target/wasm32-wasip1/release/console.wasm target/wasm32-wasip1/wasi03/myun_instance.wasm
         systemctl restart luoyun-api",
    );
    machine.log_in();
    machine.assert_serves("spin.toml");
    machine.run_readme("cd /opt/luoyun-api\ngit pull");
    machine.log_in();
    machine.assert_serves(manifest.trim());

    for row in read("tests/it/machines/faults.txt").lines().filter(|row| !row.starts_with('#')) {
        let [wrong, named, mended] = row.split(" | ").collect::<Vec<_>>().try_into().unwrap();
        let count = || machine.journal().matches(named).count();
        let before = count();
        machine.run(&format!("{wrong}; systemctl restart --no-block luoyun-api"));
        wait_until(row, || count() > before);
        machine.run(mended);
    }
}
