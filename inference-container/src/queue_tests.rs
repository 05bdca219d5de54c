//! The queue's promises, on arrivals of every kind.

use proptest::prelude::*;

use super::*;

/// A request whose texts have `lengths` tokens; the number of a text is its place in the request.
#[derive(Debug, Clone, PartialEq)]
struct Job {
    id: usize,
    texts: Vec<(usize, usize)>,
    abandoned: bool,
}

impl Job {
    fn new(id: usize, lengths: &[usize]) -> Self {
        Self { id, texts: lengths.iter().copied().enumerate().collect(), abandoned: false }
    }
}

impl Waiting for Job {
    fn lengths(&self) -> impl Iterator<Item = usize> {
        self.texts.iter().map(|(_, length)| *length)
    }

    fn take_first(&mut self, texts: usize) -> Self {
        let rest = self.texts.split_off(texts);
        Self { texts: std::mem::replace(&mut self.texts, rest), ..*self }
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned
    }
}

fn limits(jobs: usize, tokens: usize, batch_tokens: usize) -> QueueLimits {
    QueueLimits { jobs: jobs.try_into().unwrap(), tokens, batch_tokens }
}

/// What runs next, as the requests' ids with the number of texts.
fn next(queue: &mut Queue<Job>) -> Vec<(usize, usize)> {
    queue.take_batch().iter().map(|job| (job.id, job.texts.len())).collect()
}

#[test]
fn the_shortest_of_those_that_came_together_goes_first() {
    let mut queue = Queue::new(limits(9, 999, 10));
    for (id, tokens) in [(0, 9), (1, 3), (2, 6), (3, 3)] {
        queue.push(Job::new(id, &[tokens]));
    }
    assert_eq!(next(&mut queue), [(1, 1), (3, 1)]);
    assert_eq!(next(&mut queue), [(2, 1)]);
    assert_eq!(next(&mut queue), [(0, 1)]);
    assert_eq!((next(&mut queue), queue.len(), queue.tokens()), (vec![], 0, 0));
}

#[test]
fn a_long_list_fills_runs_and_leaves_others_their_turn() {
    let mut queue = Queue::new(limits(9, 999, 40));
    queue.push(Job::new(0, &[10; 10]));
    assert_eq!(next(&mut queue), [(0, 4)]);
    queue.push(Job::new(1, &[3]));
    assert_eq!(next(&mut queue), [(1, 1), (0, 3)]);
    assert_eq!(next(&mut queue), [(0, 3)]);
}

#[test]
fn short_requests_without_end_leave_a_list_its_share() {
    let mut queue = Queue::new(limits(99, 9999, 10));
    queue.push(Job::new(0, &[10; 20]));
    let (mut runs, mut of_the_list) = (0, 0);
    while queue.waiting.iter().any(|entry| entry.job.id == 0) && runs < 999 {
        // One full run of new texts for every run.
        (0..2).for_each(|_| queue.push(Job::new(1, &[5])));
        of_the_list += usize::from(next(&mut queue).contains(&(0, 1)));
        runs += 1;
    }
    assert_eq!(of_the_list, 20);
    // For each of the list's runs one run of short texts more waits, and has a smaller tag than the list's next.
    assert!((20 * YIELD..=20 * (YIELD + 1)).contains(&runs), "{runs}: the list has about one run in {YIELD}");
}

/// By the tag of its next part alone, and not by that of its end.
#[test]
fn a_long_list_gets_its_first_part_soon_though_short_requests_keep_coming() {
    let mut queue = Queue::new(limits(99, 9999, 10));
    queue.push(Job::new(0, &[10; 10]));
    let mut runs = (1..).map(|id| {
        queue.push(Job::new(id, &[5]));
        next(&mut queue)
    });
    // Four times the part's own tokens pass it, which are eight requests.
    assert!(runs.by_ref().take(9).any(|run| run.contains(&(0, 1))), "the list waited for the end of others");
}

#[test]
fn a_text_above_the_budget_runs_alone() {
    let mut queue = Queue::new(limits(9, 999, 10));
    queue.push(Job::new(0, &[25, 2]));
    assert_eq!(next(&mut queue), [(0, 1)]);
    assert_eq!(next(&mut queue), [(0, 1)]);
}

#[test]
fn the_queue_is_full_by_requests_or_by_tokens_but_takes_any_request_alone() {
    let mut queue = Queue::new(limits(2, 100, 10));
    assert!(queue.has_room(1000));
    queue.push(Job::new(0, &[60]));
    assert!(queue.has_room(40) && !queue.has_room(41));
    queue.push(Job { abandoned: true, ..Job::new(1, &[1]) });
    assert!(!queue.has_room(1), "two wait already");
    assert_eq!((queue.drop_abandoned(), queue.tokens()), (1, 60));
    assert!(queue.has_room(1));
}

#[test]
fn only_what_runs_first_counts_as_ahead() {
    let mut queue = Queue::new(limits(9, 999, 10));
    queue.push(Job::new(0, &[10; 10]));
    assert_eq!(queue.tokens_ahead(3), 3, "the list's first three tokens have tags as small");
    assert_eq!(queue.tokens_ahead(500), 100);
    next(&mut queue);
    assert_eq!(queue.tokens_ahead(3), 0, "the list has had its turn");
}

/// What happens to the queue: a request arrives, a caller leaves, the model takes a run.
#[derive(Debug, Clone)]
enum Event {
    Arrives(Vec<usize>),
    Leaves(usize),
    Runs,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => proptest::collection::vec(1..40_usize, 1..4).prop_map(Event::Arrives),
        1 => proptest::collection::vec(1..40_usize, 1..60).prop_map(Event::Arrives),
        1 => any::<usize>().prop_map(Event::Leaves),
        3 => Just(Event::Runs),
    ];
    proptest::collection::vec(event, 0..200)
}

/// One play of events: what was accepted, what ran, and how long each request waited, counted in tokens.
struct Play {
    queue: Queue<Job>,
    /// Lengths of the texts of each accepted request, and the clock at its arrival.
    accepted: Vec<(Vec<usize>, usize)>,
    left: Vec<usize>,
    ran: Vec<Vec<(usize, usize)>>,
    most_waiting: usize,
    longest_run: usize,
}

impl Play {
    fn new(limits: QueueLimits) -> Self {
        let (accepted, left, ran) = (Vec::new(), Vec::new(), Vec::new());
        Self { queue: Queue::new(limits), accepted, left, ran, most_waiting: 0, longest_run: 0 }
    }

    fn happens(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Arrives(lengths) if self.queue.has_room(lengths.iter().sum()) => {
                self.queue.push(Job::new(self.accepted.len(), &lengths));
                self.accepted.push((lengths, self.queue.clock));
                self.ran.push(Vec::new());
                self.most_waiting = self.most_waiting.max(self.queue.tokens());
            }
            Event::Arrives(_) => prop_assert!(self.queue.len() > 0),
            Event::Leaves(place) => {
                let waiting = self.queue.len();
                if let Some(entry) = self.queue.waiting.get_mut(place % waiting.max(1)) {
                    entry.job.abandoned = true;
                    self.left.push(entry.job.id);
                    prop_assert_eq!(self.queue.drop_abandoned(), 1);
                }
            }
            Event::Runs => self.run()?,
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), TestCaseError> {
        let batch = self.queue.take_batch();
        let tokens: usize = batch.iter().flat_map(Waiting::lengths).sum();
        let texts: usize = batch.iter().map(|job| job.texts.len()).sum();
        prop_assert!(texts > 0 || self.queue.len() == 0, "no progress");
        prop_assert!(texts <= 1 || tokens <= self.queue.limits.batch_tokens, "{tokens} tokens in one run");
        self.longest_run = self.longest_run.max(tokens);
        for job in batch {
            prop_assert!(!self.left.contains(&job.id), "who left is run");
            self.ran[job.id].extend(job.texts);
            let (lengths, arrival) = &self.accepted[job.id];
            if self.ran[job.id].len() == lengths.len() {
                let own: usize = lengths.iter().sum();
                let bound = YIELD * own + self.most_waiting + self.longest_run;
                prop_assert!(self.queue.clock - arrival <= bound, "{own} tokens waited for more than {bound}");
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_text_runs_once_in_order_within_the_budget_and_the_bound(
        events in events(), jobs in 1..20_usize, tokens in 1..800_usize, batch_tokens in 1..100_usize
    ) {
        let mut play = Play::new(limits(jobs, tokens, batch_tokens));
        for event in events {
            play.happens(event)?;
        }
        while play.queue.len() > 0 {
            play.run()?;
        }
        prop_assert_eq!(play.queue.tokens(), 0);
        for (id, (lengths, _)) in play.accepted.iter().enumerate() {
            let expected: Vec<(usize, usize)> = lengths.iter().copied().enumerate().collect();
            let ran = &play.ran[id];
            let whole = ran == &expected || (play.left.contains(&id) && expected.starts_with(ran));
            prop_assert!(whole, "request {id} ran as {ran:?}");
        }
    }
}
