//! The folder store on real folders.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn key(name: &str) -> Key {
    Key::listed(name).unwrap()
}

fn store() -> (tempfile::TempDir, FolderStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::new(folder.path().join("state/ledger"));
    (folder, store)
}

fn done(write: Write) -> Version {
    match write {
        Write::Done(version) => version,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_record_is_created_once_and_replaced_by_version() {
    let (_folder, store) = store();
    let key = key("runs/a/f.json");
    assert_eq!(store.get(&key).await.unwrap(), None);
    let first = done(store.create(&key, b"1").await.unwrap());
    assert_eq!(store.create(&key, b"2").await.unwrap(), Write::Lost);
    let second = done(store.replace(&key, b"3", &first).await.unwrap());
    assert_eq!(store.replace(&key, b"4", &first).await.unwrap(), Write::Lost);
    let stored = store.get(&key).await.unwrap().unwrap();
    assert_eq!((stored.bytes.as_slice(), &stored.version), (b"3".as_slice(), &second));
    fs::remove_file(store.path_of(&key)).unwrap();
    assert_eq!(store.replace(&key, b"5", &second).await.unwrap(), Write::Gone);
}

#[tokio::test]
async fn only_records_are_listed() {
    let (_folder, store) = store();
    assert_eq!(store.list("runs/").await.unwrap(), []);
    for name in ["runs/a/f.json", "runs/b/g.json", "lock.json"] {
        done(store.create(&key(name), b"{}").await.unwrap());
    }
    // Left by a program that was killed while it wrote.
    fs::write(store.root.join("runs/a/.new-x7"), b"{\"vers").unwrap();
    fs::write(store.root.join("runs/a/.new-x7.json"), b"{\"vers").unwrap();
    fs::write(store.root.join("runs/note.txt"), b"a person's").unwrap();
    let mut keys = store.list("runs/").await.unwrap();
    keys.sort();
    assert_eq!(keys, [key("runs/a/f.json"), key("runs/b/g.json")]);
    assert_eq!(store.list("runs/a/").await.unwrap(), [key("runs/a/f.json")]);
}

#[tokio::test]
async fn others_on_the_machine_cannot_read_it() {
    let (_folder, store) = store();
    done(store.create(&key("runs/a/f.json"), b"{}").await.unwrap());
    let mode = |path: &str| fs::metadata(store.root.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("runs/a/f.json"), mode("runs/a"), mode("")), (0o600, 0o700, 0o700));
}

/// Threads stand in for processes: each opens the files for itself.
fn race<T: Send>(work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let work = &work;
                scope.spawn(move || work(number))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn of_racing_creators_one_wins() {
    let (_folder, store) = store();
    let root = &store.root;
    for round in 0..20 {
        let key = key(&format!("runs/{round}/f.json"));
        let written = race(|number| {
            let store = FolderStore::new(root.clone());
            block_on(store.create(&key, number.to_string().as_bytes())).unwrap()
        });
        let winners: Vec<usize> = (0..8).filter(|number| written[*number] != Write::Lost).collect();
        let stored = block_on(store.get(&key)).unwrap().unwrap();
        assert_eq!(
            winners.iter().map(usize::to_string).collect::<Vec<_>>(),
            [String::from_utf8(stored.bytes).unwrap()]
        );
    }
}

#[test]
fn racing_replacements_are_all_counted() {
    let (_folder, store) = store();
    let (root, key) = (&store.root, key("runs/a/f.json"));
    done(block_on(store.create(&key, b"0")).unwrap());
    race(|_| {
        let store = FolderStore::new(root.clone());
        block_on(async {
            let mut added = 0;
            while added < 10 {
                let stored = store.get(&key).await.unwrap().unwrap();
                let count: u64 = String::from_utf8(stored.bytes).unwrap().parse().unwrap();
                let next = (count + 1).to_string();
                match store.replace(&key, next.as_bytes(), &stored.version).await {
                    Ok(Write::Done(_)) => added += 1,
                    // On a busy machine the others can hold the lock for ten seconds.
                    Ok(_) | Err(StoreError::Busy { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    });
    assert_eq!(block_on(store.get(&key)).unwrap().unwrap().bytes, b"80");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_an_error_that_names_it() {
    let store = FolderStore::new(PathBuf::from("/dev/null/ledger"));
    let error = store.create(&key("lock.json"), b"{}").await.unwrap_err().to_string();
    assert!(error.contains("/dev/null/ledger/lock.json") && error.contains("--ledger"), "{error}");
    // Nor is it empty: a folder that is a file cannot be read.
    assert!(matches!(store.get(&key("lock.json")).await, Err(StoreError::File { .. })));
    assert!(matches!(store.list("runs/").await, Err(StoreError::File { .. })));
}

#[tokio::test]
async fn a_read_only_folder_is_an_error_that_says_so() {
    let (_folder, store) = store();
    let version = done(store.create(&key("lock.json"), b"{}").await.unwrap());
    fs::set_permissions(&store.root, fs::Permissions::from_mode(0o500)).unwrap();
    let is_enforced = File::create(store.root.join("probe")).is_err();
    let written =
        [store.create(&key("other.json"), b"{}").await, store.replace(&key("lock.json"), b"1", &version).await];
    fs::set_permissions(&store.root, fs::Permissions::from_mode(0o700)).unwrap();
    for written in written {
        // The system lets root write everywhere.
        match written {
            Err(error) => assert!(error.to_string().contains("make it writable"), "{error}"),
            Ok(write) => assert!(!is_enforced && write != Write::Lost, "{write:?}"),
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_that_says_so() {
    let source = io::Error::from(io::ErrorKind::StorageFull);
    let error = StoreError::File { path: PathBuf::from("/state/lock.json"), source }.to_string();
    assert!(error.contains("/state/lock.json") && error.contains("free some space"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_read() {
    let (_folder, store) = store();
    fs::create_dir_all(&store.root).unwrap();
    let file = File::create(store.root.join("lock.json")).unwrap();
    file.set_len(MAX_RECORD_BYTES as u64 + 1).unwrap();
    assert!(matches!(store.get(&key("lock.json")).await, Err(StoreError::TooLarge { .. })));
}
