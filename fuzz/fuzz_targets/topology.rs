//! Topologies of any text, expressions included: one that is accepted takes a row.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sheetstream::test_driver::TopologyTestDriver;
use sheetstream::topology::Topology;

fuzz_target!(|input: (bool, &str)| {
    let (is_expression, text) = input;
    let text = if is_expression {
        format!(
            "name=\"t\"\n[[source]]\nname=\"rows\"\nheader=[\"a\",\"b\"]\n[[map]]\nname=\"m\"\ncompute={{c='''{text}'''}}\n[[aggregate]]\nname=\"s\"\nsheet=\"a\"\n[[sink]]\nname=\"w\"\n"
        )
    } else {
        text.to_owned()
    };
    let Ok(topology) = Topology::parse(&text, "t.toml", &|_| None) else { return };
    if is_expression {
        let mut driver = TopologyTestDriver::new(topology);
        driver.pipe("k", "x,12.5");
        driver.pipe("k", ",\n7,-0");
        driver.pipe("k", "#EOF rows=3");
        assert!(driver.statuses().iter().all(|status| status.accounting.balances()));
    }
});
