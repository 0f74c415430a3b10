//! Who may do what, and what is written down of those who may not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::http::{admin, ask, audited, operate};
use crate::program::{Serving, run};

const VIEWER: &str = "0123456789abcdef";
const ROOT: &str = "fedcba9876543210";

fn tokens(data: &Path, mode: u32) -> String {
    let path = data.join("tokens");
    std::fs::write(&path, format!("viewer read {VIEWER}\nroot operate {ROOT}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn each_role_may_do_its_part_and_every_refusal_is_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let path = tokens(data, 0o600);
    let serving = Serving::start(&["--admin-tokens", &path], data);
    let to = admin(&serving);
    let code = |method: &str, path: &str, token: &str| {
        let header = match token {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        ask(to, method, path, &header, "").0
    };
    for open in ["/healthz", "/readyz"] {
        assert_eq!(code("GET", open, ""), 200);
    }
    for read in ["/status", "/metrics", "/who", "/books", "/sessions", "/segments", "/events"] {
        assert_eq!(code("GET", read, ""), 401);
        assert_eq!(code("GET", read, "nobody's token, really"), 401);
        assert_eq!(code("GET", read, VIEWER), 200);
        assert_eq!(code("GET", read, ROOT), 200);
    }
    let calls = ["/snapshot", "/drain", "/command", "/activate", "/mark", "/archive"];
    for call in calls {
        assert_eq!(code("POST", call, ""), 401);
        assert_eq!(code("POST", call, VIEWER), 403);
    }
    let lines = audited(data);
    assert_eq!(lines.len(), 2 * calls.len(), "{lines:#?}");
    for (pair, call) in lines.chunks(2).zip(calls) {
        assert!(pair.iter().all(|it| it["call"] == format!("POST {call}")), "{pair:#?}");
        assert!(pair[0]["outcome"] == 401 && pair[0]["who"].is_null(), "{pair:#?}");
        assert!(pair[1]["outcome"] == 403 && pair[1]["who"] == "viewer", "{pair:#?}");
    }
    operate(to, &["status"], "").expect(2, &["a token is needed", "RINGFRAME_ADMIN_TOKEN"]);
    let of_viewer = data.join("viewer");
    std::fs::write(&of_viewer, format!("{VIEWER}\n")).unwrap();
    let of_viewer = of_viewer.to_str().unwrap();
    operate(to, &["status", "--token-file", of_viewer], "").expect(0, &["serving"]);
    operate(to, &["drain", "--token-file", of_viewer], "").expect(2, &["viewer has the role read"]);
    let of_root = data.join("root");
    std::fs::write(&of_root, ROOT).unwrap();
    let of_root = of_root.to_str().unwrap();
    operate(to, &["drain", "--token-file", of_root], "").expect(0, &["drained at"]);
    serving.end().expect(0, &["drained"]);
    let last = audited(data).pop().unwrap();
    assert_eq!(last["outcome"], 200);
    let text = std::fs::read_to_string(data.join("audit.log")).unwrap();
    assert!(!text.contains(VIEWER) && !text.contains(ROOT), "no token is written down");
}

#[test]
fn a_node_that_anybody_could_command_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let beyond = run(&["serve", "--admin", "0.0.0.0:0"], data);
    beyond.expect(2, &["which other machines can reach", "admin_tokens"]);
    let path = tokens(data, 0o644);
    let readable = run(&["serve", "--admin-tokens", &path], data);
    readable.expect(2, &["others may read or write it", "chmod 600"]);
    let missing = run(&["serve", "--admin-tokens", "/no/such/file"], data);
    missing.expect(2, &["cannot read the tokens"]);
    assert!(!data.join("journal").exists(), "nothing was begun");
    // On loopback it is allowed, and said.
    let mut serving = Serving::spawn(&mut crate::program::ringframe(&["serve"], data));
    serving.wait_for("WARNING: whoever can start a program");
    serving.wait_for("ready");
    serving.drain();
}
