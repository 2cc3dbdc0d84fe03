//! `watch`: files that are put into a folder become uploads, each once, and their workbooks come back beside them.

#[path = "support/app.rs"]
mod app;
#[path = "support/kafka.rs"]
mod kafka;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use app::{App, LIMIT, Running};
use kafka::Kafka;

/// An application and the folder that is watched for it.
struct Inbox {
    app: App,
    folder: PathBuf,
}

impl Inbox {
    fn new() -> Option<Inbox> {
        let app = App::new(Kafka::shared()?, "watch", 2);
        let folder = app.folder.path().join("inbox");
        fs::create_dir(&folder).expect("a folder");
        Some(Inbox { app, folder })
    }
    /// Puts a file there as a careful person does.
    fn put(&self, file: &Path) {
        let hidden = self.folder.join(".coming");
        fs::copy(file, &hidden).expect("copied");
        fs::rename(hidden, self.folder.join(file.file_name().expect("a name"))).expect("renamed");
    }
    fn watch(&self, options: &[&str]) -> Running {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.app.folder.path().join("watch.log"));
        let mut command = self.app.command(&["watch", "--json", "--settle-ms", "300", "-t"]);
        command.arg(self.app.topology()).arg(&self.folder).args(options);
        command.stdout(log.expect("a log")).stderr(Stdio::inherit());
        Running(command.spawn().expect("watch starts"))
    }
    fn log(&self) -> String {
        fs::read_to_string(self.app.folder.path().join("watch.log")).unwrap_or_default()
    }
    fn wait_for(&self, what: &str, there: impl Fn() -> bool) {
        let begun = Instant::now();
        while !there() {
            assert!(begun.elapsed() < LIMIT, "{what} never came: {}\n{}", self.log(), self.app.log("state"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    /// End-of-file markers in the source topic.
    fn publications(&self) -> usize {
        let mut ends = 0;
        self.app.each("rows", |record| {
            let is_end = |header: &sheetstream::record::Header| {
                &*header.name == "ss-type" && header.value.as_deref() == Some(b"eof".as_slice())
            };
            ends += usize::from(record.headers.iter().any(is_end));
        });
        ends
    }
}

fn is_there(folder: &Path, name: &str) -> bool {
    folder.join(name).exists()
}

#[test]
fn a_file_comes_back_with_its_workbook_and_one_that_is_none_with_a_reason() {
    let Some(inbox) = Inbox::new() else { return };
    let file = inbox.app.csv("a.csv", 500);
    inbox.put(&file);
    let wrong = inbox.app.folder.path().join("b.csv");
    fs::write(&wrong, "id,name\n1,2\n").expect("written");
    inbox.put(&wrong);
    let image = inbox.app.folder.path().join("c.csv");
    fs::write(&image, b"\x89PNG\r\n\x1a\n\0\0\0\0").expect("written");
    inbox.put(&image);
    let _run = inbox.app.run("state");
    let ended = inbox.watch(&["--once"]).wait();
    assert_eq!(ended.code(), Some(65), "two of them failed: {}", inbox.log());

    let done = inbox.folder.join("done");
    let mut names: Vec<_> =
        fs::read_dir(&done).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.csv", "a.xlsx"]);
    assert!(fs::read(done.join("a.xlsx")).expect("a workbook") == inbox.app.converted(&file), "the same bytes");
    let why = |name: &str| fs::read_to_string(inbox.folder.join("failed").join(name)).expect("a reason");
    assert!(why("b.csv.txt").starts_with("column.missing: "), "{}", why("b.csv.txt"));
    assert!(why("c.csv.txt").contains("PNG image"), "{}", why("c.csv.txt"));
    assert!(is_there(&inbox.folder, "failed/b.csv") && is_there(&inbox.folder, "failed/c.csv"));

    // The same name again with other rows: the next revision, and nothing is written over.
    fs::write(&file, fs::read_to_string(&file).expect("text").replace("park", "garden")).expect("written");
    inbox.put(&file);
    assert_eq!(inbox.watch(&["--once"]).wait().code(), Some(0), "{}", inbox.log());
    assert!(is_there(&done, "a (2).csv") && is_there(&done, "a (2).xlsx"), "{}", inbox.log());
    assert!(is_there(&done, "a.csv"));
}

#[test]
fn a_file_is_published_once_however_often_the_watch_is_killed() {
    let Some(inbox) = Inbox::new() else { return };
    let file = inbox.app.csv("a.csv", 2_000);
    inbox.put(&file);
    let watch = inbox.watch(&[]);
    inbox.wait_for("the file in its topic", || inbox.log().contains("published"));
    watch.kill();
    assert!(!is_there(&inbox.folder, "a.csv") && inbox.publications() == 1);

    // Nothing has processed it; the next watch knows where it is.
    let second = inbox.watch(&[]);
    inbox.wait_for("a second word", || inbox.log().matches("published").count() == 2);
    second.kill();
    let _run = inbox.app.run("state");
    let _third = inbox.watch(&[]);
    inbox.wait_for("the workbook", || is_there(&inbox.folder, "done/a.csv"));
    assert_eq!(inbox.publications(), 1, "it was published once: {}", inbox.log());
    assert!(fs::read(inbox.folder.join("done/a.xlsx")).expect("a workbook") == inbox.app.converted(&file));
}

#[test]
fn a_file_that_was_not_published_whole_is_published_anew() {
    let Some(inbox) = Inbox::new() else { return };
    let file = inbox.app.csv("a.csv", 1_000);
    // As a watch leaves it that is killed before the end of the file is in the topic.
    let left = inbox.folder.join(".sending/1.some-attempt");
    fs::create_dir_all(&left).expect("a folder");
    fs::copy(&file, left.join("a.csv")).expect("copied");
    let _run = inbox.app.run("state");
    assert_eq!(inbox.watch(&["--once"]).wait().code(), Some(0), "{}", inbox.log());
    assert!(is_there(&inbox.folder, "done/a.xlsx") && inbox.publications() == 1, "{}", inbox.log());
    assert!(fs::read_dir(inbox.folder.join(".sending")).expect("a folder").count() == 1, "only the lock is left");
}

#[test]
fn one_process_watches_a_folder() {
    let Some(inbox) = Inbox::new() else { return };
    let first: Child = {
        let mut command = inbox.app.command(&["watch", "-t"]);
        command.arg(inbox.app.topology()).arg(&inbox.folder).spawn().expect("watch starts")
    };
    let first = Running(first);
    inbox.wait_for("the lock", || is_there(&inbox.folder, ".sending/LOCK"));
    let held = || fs::read_to_string(inbox.folder.join(".sending/LOCK")).is_ok_and(|held| !held.is_empty());
    inbox.wait_for("its holder", held);
    let second = inbox.app.command(&["watch", "--once", "-t"]).arg(inbox.app.topology()).arg(&inbox.folder).output();
    let second = second.expect("watch");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(73), "{said}");
    assert!(said.contains(&format!("process {}", first.0.id())), "{said}");
}
