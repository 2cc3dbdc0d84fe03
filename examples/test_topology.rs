//! How to test a topology of your own: the real task, with neither a broker nor threads, and a clock that the test moves.
//!
//! ```text
//! cargo test --example test_topology
//! ```

fn main() {
    println!("cargo test --example test_topology");
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use sheetstream::sink::status::UploadState;
    use sheetstream::test_driver::TopologyTestDriver;
    use sheetstream::topology::Topology;

    const HEADER: &str = "관리번호,이름,시군,X좌표,Y좌표,개방일자";

    /// The topology as it will run, out of its file.
    fn facilities() -> TopologyTestDriver {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("topology/facilities.toml");
        TopologyTestDriver::new(Topology::load(&file).expect("a topology without mistakes"))
    }

    #[test]
    fn a_place_without_coordinates_is_rejected_and_the_others_are_written() {
        let mut driver = facilities();
        driver.pipe("places.csv", HEADER);
        driver.pipe("places.csv", "A-1,파란 도서관,한빛시,953900.5,1952030.25,2020-03-01");
        driver.pipe("places.csv", "A-2,둥근 공원,한빛시,,,2021-07-15");
        driver.pipe("places.csv", "#EOF rows=2");

        let status = driver.statuses().pop().expect("a status");
        assert_eq!(status.state, UploadState::Published);
        assert_eq!((status.accounting.written, status.accounting.rejected), (1, 1));
        let letter = driver.dead_letters().pop().expect("a dead letter");
        let reason = letter.headers.iter().find(|header| &*header.name == "ss-reason").expect("it has a reason");
        assert_eq!(reason.value.as_deref(), Some(&b"coord.missing"[..]));
        assert_eq!(driver.workbook("places.csv").expect("a workbook")[..2], *b"PK");
    }

    #[test]
    fn an_upload_that_nobody_ends_expires() {
        let mut driver = facilities();
        driver.pipe("places.csv", HEADER);
        driver.pipe("places.csv", "A-1,파란 도서관,한빛시,953900.5,1952030.25,2020-03-01");
        driver.advance_wall_clock_time(Duration::from_secs(25 * 3_600));
        assert_eq!(driver.statuses().pop().expect("a status").state, UploadState::Expired);
        assert!(driver.workbook("places.csv").is_none());
    }

    #[test]
    fn a_crash_changes_nothing() {
        let (mut calm, mut crashed) = (facilities(), facilities());
        for row in [HEADER, "A-1,파란 도서관,한빛시,953900.5,1952030.25,2020-03-01", "#EOF"] {
            calm.pipe("places.csv", row);
            crashed.pipe("places.csv", row);
            crashed.crash(false); // and its state is gone
        }
        assert!(calm.workbook("places.csv").is_some());
        assert_eq!(calm.workbook("places.csv"), crashed.workbook("places.csv"));
    }
}
