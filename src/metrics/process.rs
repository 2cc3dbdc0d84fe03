//! The `process_` metrics of Prometheus' client library, with the CPU time in fractions of a second: the library counts whole seconds, and a
//! rate over them is a square wave for whoever uses less than one processor.

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Counter, MetricFamily};
use rustix::time::{ClockId, clock_gettime};

pub(super) fn collector() -> Box<dyn Collector> {
    Box::new(Process(ProcessCollector::for_self()))
}

struct Process(ProcessCollector);

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        let cpu = families.iter_mut().find(|family| family.name() == "process_cpu_seconds_total");
        if let Some(metric) = cpu.and_then(|family| family.mut_metric().first_mut()) {
            let mut counter = Counter::default();
            counter.set_value(cpu_seconds());
            metric.set_counter(counter);
        }
        families
    }
}

/// CPU time of all threads of the process, ended ones included.
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_has_fractions() {
        let scraped = || {
            let text = crate::metrics::render();
            let line = text.lines().find(|line| line.starts_with("process_cpu_seconds_total ")).expect("the metric");
            line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok()).expect("a number")
        };
        let before = scraped();
        assert!(before > 0.0);
        // Busy until the clock of the CPU has moved by less than a whole second: the metric moves with it.
        let begun = cpu_seconds();
        while cpu_seconds() - begun < 0.05 {
            std::hint::black_box(crate::metrics::render());
        }
        assert!(scraped() - before >= 0.05);
    }
}
