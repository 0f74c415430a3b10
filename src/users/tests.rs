use std::os::unix::fs::PermissionsExt;

use super::*;

fn name(text: &str) -> [u8; 6] {
    Alpha::new(text).unwrap().0
}

fn password(text: &str) -> [u8; 10] {
    Alpha::new(text).unwrap().0
}

/// A line whose hash costs little.
fn line(name: &str, session: u16) -> String {
    let hash = &Users::demo().0[&Alpha::new("TRDR01").unwrap()].hash.to_string();
    format!("{name} {session} market-data {hash}\n")
}

fn refused(text: &str) -> String {
    Users::parse(text, Path::new("users")).unwrap_err().to_string()
}

#[test]
fn the_demo_s_users_may_log_in_in_any_case() {
    let users = Users::demo();
    assert_eq!(users.iter().len(), 99);
    for (it, session) in [("TRDR01", 1), ("trdr99", 99), ("Trdr42", 42)] {
        for word in ["secret", "SECRET", "sEcReT"] {
            let user = users.verify(&name(it), &password(word)).unwrap();
            assert_eq!((user.session, user.market_data), (session, true));
            assert_eq!(user.name, Alpha::new(&it.to_uppercase()).unwrap());
        }
    }
    assert_eq!(users.verify(b"trdr07", b"    secret").unwrap().session, 7);
    for (it, word) in [
        ("TRDR01", "secret1"),
        ("TRDR01", ""),
        ("TRDR00", "secret"),
        ("TRDR1", "secret"),
        ("", ""),
        ("", "secret"),
    ] {
        assert_eq!(users.verify(&name(it), &password(word)), None, "{it} {word}");
    }
    assert_eq!(users.verify(b"\xFF\xFF\xFF\0\0\0", b"\0\0\0\0\0\0\0\0\0\0"), None);
    assert_eq!(Users::default().verify(&name("A"), &password("B")), None);
}

#[test]
fn users_are_added_found_and_removed_in_a_file_of_one_s_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    let advice = Users::read(&path).unwrap_err().to_string();
    assert!(advice.contains("`ringframe user add NAME --users FILE` makes one"), "{advice}");
    let alice = Users::add(&path, "Alice", "PassWord9!", None, true).unwrap();
    assert_eq!((alice.name, alice.session), (Alpha::new("ALICE").unwrap(), 1));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What people write into it stays.
    let text = std::fs::read_to_string(&path).unwrap() + "\n# the desk\n" + &line("CAROL", 2);
    std::fs::write(&path, &text).unwrap();
    let bob = Users::add(&path, "bob", "x", None, false).unwrap();
    assert_eq!((bob.session, bob.market_data), (3, false));
    let users = Users::read(&path).unwrap();
    assert_eq!(users.verify(&name("alice"), &password("pASSwORD9!")), Some(alice));
    assert_eq!(users.verify(&name("bob"), &password("X")), Some(bob));
    assert_eq!(users.verify(&name("bob"), &password("secret")), None);

    let twice = Users::add(&path, "ALICE", "x", None, true).unwrap_err().to_string();
    assert!(twice.contains("there is a user ALICE already"), "{twice}");
    let taken = Users::add(&path, "dave", "x", Some(3), true).unwrap_err().to_string();
    assert!(taken.contains("session 3 is BOB's already: give DAVE another one"), "{taken}");
    assert_eq!(Users::remove(&path, "alice"), Ok(true));
    assert_eq!(Users::remove(&path, "alice"), Ok(false));
    let left = std::fs::read_to_string(&path).unwrap();
    assert!(left.starts_with(HEADING) && left.contains("# the desk\n") && !left.contains("ALICE"));
    assert_eq!(Users::read(&path).unwrap().verify(&name("alice"), &password("PassWord9!")), None);
    assert_eq!(Users::add(&path, "ERIN", "x", None, true).unwrap().session, 1);
    let names = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(names, 1, "nothing is left beside it");
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    std::fs::write(&path, line("ALICE", 1)).unwrap();
    for (mode, is_fine) in
        [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o660, false)]
    {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let read = Users::read(&path);
        assert_eq!(read.is_ok(), is_fine, "{mode:o}");
        if let Err(error) = read {
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
}

#[test]
fn wrong_lines_say_where_and_what_is_right() {
    let good = line("ALICE", 1);
    for (text, says) in [
        ("\nALICE 1 market-data".to_owned(), "users:2: 3 words where NAME SESSION ACCESS HASH"),
        (good.replace("ALICE", "ALICESMITH"), "users:1: 'ALICESMITH' is no name: use 1 to 6"),
        (good.replace("ALICE", "A_B"), "'A_B' is no name"),
        (good.replace(" 1 ", " 0 "), "'0' is no session: write a number from 1 to 65535"),
        (good.replace(" 1 ", " 65536 "), "'65536' is no session"),
        (good.replace("market-data", "all"), "'all' is neither market-data nor orders-only"),
        (good.replace("$argon2id", "$argon2i"), "the hash of ALICE cannot be used"),
        ("ALICE 1 market-data secret".to_owned(), "the hash of ALICE cannot be used"),
        (good.clone() + &line("BOB", 1), "users:2: session 1 is ALICE's already"),
        (good.clone() + &line("alice", 2), "users:2: there is a user ALICE already"),
    ] {
        let error = refused(&text);
        assert!(error.contains(says), "{text}: {error}");
    }
    for word in ["", "eleven-char", "a b", "ü"] {
        assert!(check_password(word).unwrap_err().to_string().contains("1 to 10 letters"));
    }
}
