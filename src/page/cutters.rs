//! Threads that cut pages while rows keep coming: one set for all tasks of the process, as a page needs nothing but its rows. A page that
//! finds all of them busy is cut by whoever has it, so that nobody waits while there is work to do.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::styles::Styles;
use super::{CutPage, OpenPage, PageWriter};

/// Threads at most: those that read rows need processors too.
const THREADS_MAX: usize = 8;
/// Pages that wait for each thread, so that it need not wait for the next one.
const WAITING_PER_THREAD: usize = 2;

/// A page that is being cut.
#[derive(Debug)]
pub enum PageUnderWay {
    /// By whoever asked: it is done.
    Here(CutPage),
    /// By another thread.
    Elsewhere(Receiver<CutPage>),
}

/// What [`PageWriter::cut`] takes, and where the page goes.
struct Job {
    styles: Styles,
    cell_refs: bool,
    page: OpenPage,
    first_row: u32,
    done: SyncSender<CutPage>,
}

impl PageUnderWay {
    /// Whether [`PageUnderWay::wait`] would return at once.
    pub fn is_done(&mut self) -> bool {
        if let PageUnderWay::Elsewhere(done) = self {
            match done.try_recv() {
                Ok(page) => *self = PageUnderWay::Here(page),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => {} // said by whoever waits
            }
        }
        true
    }

    /// The page, when it is done.
    pub fn wait(&mut self) -> &CutPage {
        if let PageUnderWay::Elsewhere(done) = self {
            *self = PageUnderWay::Here(done.recv().expect("a thread that cuts a page does not panic"));
        }
        match self {
            PageUnderWay::Here(page) => page,
            PageUnderWay::Elsewhere(_) => unreachable!("it is here now"),
        }
    }
}

impl PageWriter {
    /// [`PageWriter::cut`], on another thread if one is free.
    pub fn cut_elsewhere(&mut self, page: &mut OpenPage, first_row: u32) -> PageUnderWay {
        let Some(threads) = threads() else { return PageUnderWay::Here(self.cut(page, first_row)) };
        let (done, page_done) = sync_channel(1);
        let (styles, cell_refs) = self.look();
        let job = Job { styles: styles.clone(), cell_refs, page: std::mem::take(page), first_row, done };
        match threads.try_send(job) {
            Ok(()) => PageUnderWay::Elsewhere(page_done),
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                *page = job.page;
                PageUnderWay::Here(self.cut(page, first_row))
            }
        }
    }
}

/// The way to the threads, which start with the first page; `None` on a machine with one processor.
fn threads() -> Option<&'static SyncSender<Job>> {
    static THREADS: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();
    let start = || {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let count = (processors - 1).min(THREADS_MAX);
        let (jobs, queue) = sync_channel(count * WAITING_PER_THREAD);
        let queue = Arc::new(Mutex::new(queue));
        let started = (0..count).filter(|number| {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name(format!("page-cutter-{number}")).spawn(move || run(&queue)).is_ok()
        });
        (started.count() > 0).then_some(jobs)
    };
    THREADS.get_or_init(start).as_ref()
}

fn run(queue: &Mutex<Receiver<Job>>) {
    let mut writer: Option<PageWriter> = None;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { styles, cell_refs, mut page, first_row, done }) = next else { return };
        let suits = |writer: &PageWriter| writer.look() == (&styles, cell_refs);
        let writer = match writer.take().filter(suits) {
            Some(suitable) => writer.insert(suitable),
            None => writer.insert(PageWriter::new(styles, cell_refs)),
        };
        done.send(writer.cut(&mut page, first_row)).ok(); // nobody waits for pages of an upload that was given up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::StyleId;
    use crate::record::ColumnType;

    fn page(number: usize) -> OpenPage {
        let mut page = OpenPage::default();
        for row in 0..100 {
            page.cell(&format!("{}", number * row), ColumnType::Auto);
            page.cell(&"긴 글 ".repeat(number % 7), ColumnType::Text);
            page.end_row();
        }
        page
    }

    #[test]
    fn pages_are_the_same_wherever_they_are_cut() {
        let look = |number: usize| (Styles::new([number as u16 % 3; StyleId::COUNT]), number.is_multiple_of(2));
        let under_way: Vec<_> = (0..200)
            .map(|number| {
                let (styles, cell_refs) = look(number);
                PageWriter::new(styles, cell_refs).cut_elsewhere(&mut page(number), 2 + number as u32)
            })
            .collect();
        for (number, mut under_way) in under_way.into_iter().enumerate() {
            let (styles, cell_refs) = look(number);
            let here = PageWriter::new(styles, cell_refs).cut(&mut page(number), 2 + number as u32);
            assert_eq!(*under_way.wait(), here);
        }
    }

    #[test]
    fn the_page_that_was_handed_over_is_empty() {
        let mut writer = PageWriter::new(Styles::new([0; StyleId::COUNT]), false);
        for number in 0..20 {
            let mut page = page(number);
            let mut under_way = writer.cut_elsewhere(&mut page, 2);
            assert_eq!((page.rows(), page.bytes()), (0, 0));
            assert_eq!(under_way.wait().rows, 100);
        }
    }
}
