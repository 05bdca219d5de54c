//! Scaled dot-product attention, text by text and head by head.

use std::cell::RefCell;
use std::ops::Range;

use crate::kernels::{Matrix, MatrixMut, multiply, softmax};

/// From this many products (queries × keys × width) on, tasks are shared among threads.
const MIN_PARALLEL_PRODUCTS: usize = 1 << 17;

thread_local! {
    /// Attention weights of one task and head, `[queries, keys]`, kept between calls.
    static WEIGHTS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Some rows of the queries, and the rows of keys and values that they attend to: all of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) queries: Range<usize>,
    pub(crate) keys: Range<usize>,
}

impl Task {
    fn products(&self, width: usize) -> usize {
        self.queries.len() * self.keys.len() * width
    }
}

/// How a token vector is divided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    /// How many heads.
    pub(crate) count: usize,
    /// Values of one head.
    pub(crate) width: usize,
}

/// Rows of `heads.count * heads.width` values, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Projection<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
}

impl<'a> Projection<'a> {
    /// One head of some rows: `[rows, heads.width]`.
    fn head(self, rows: &Range<usize>, head: usize, heads: Heads) -> Matrix<'a> {
        Matrix::new(&self.values[rows.start * self.stride + head * heads.width..], rows.len(), heads.width, self.stride)
    }
}

/// What attention reads.
#[derive(Clone, Copy)]
pub(crate) struct Attention<'a> {
    pub(crate) heads: Heads,
    pub(crate) query: Projection<'a>,
    pub(crate) key: Projection<'a>,
    pub(crate) value: Projection<'a>,
}

impl Attention<'_> {
    /// Writes the context vectors of all tasks' queries, `[queries, hidden]`; the tasks' query rows are consecutive.
    pub(crate) fn run(&self, tasks: &[Task], out: &mut [f32]) {
        let hidden = self.heads.count * self.heads.width;
        let products: usize = tasks.iter().map(|task| task.products(hidden)).sum();
        if tasks.len() < 2 || products < MIN_PARALLEL_PRODUCTS || rayon::current_num_threads() == 1 {
            let mut rest = out;
            for task in tasks {
                let (rows, tail) = rest.split_at_mut(task.queries.len() * hidden);
                self.run_task(task, rows);
                rest = tail;
            }
            return;
        }
        let (left, right) = tasks.split_at(half(tasks, products, hidden));
        let rows: usize = left.iter().map(|task| task.queries.len()).sum();
        let (left_out, right_out) = out.split_at_mut(rows * hidden);
        rayon::join(|| self.run(left, left_out), || self.run(right, right_out));
    }

    /// `out` is `[queries, hidden]`.
    fn run_task(&self, task: &Task, out: &mut [f32]) {
        let (queries, keys, heads) = (task.queries.len(), task.keys.len(), self.heads);
        let hidden = heads.count * heads.width;
        let scale = 1.0 / (heads.width as f32).sqrt();
        WEIGHTS.with_borrow_mut(|weights| {
            weights.resize(queries * keys, 0.0);
            for head in 0..heads.count {
                let query = self.query.head(&task.queries, head, heads);
                let key = self.key.head(&task.keys, head, heads).transposed();
                multiply(&mut MatrixMut::new(weights, queries, keys, keys), query, key, scale, false);
                softmax(weights, keys);
                let context = &mut out[head * heads.width..];
                let value = self.value.head(&task.keys, head, heads);
                let mut context = MatrixMut::new(context, queries, heads.width, hidden);
                multiply(&mut context, Matrix::new(weights, queries, keys, keys), value, 1.0, false);
            }
        });
    }
}

/// How many of the first tasks hold about half of all products, at least one and not all.
fn half(tasks: &[Task], products: usize, hidden: usize) -> usize {
    let mut before = 0;
    let first = tasks.iter().take_while(|task| {
        before += task.products(hidden);
        before <= products / 2
    });
    first.count().clamp(1, tasks.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two heads of two values; the first text has one token, the second two.
    const HEADS: Heads = Heads { count: 2, width: 2 };

    #[test]
    fn a_worked_case() {
        let query = [9.0, 9.0, 9.0, 9.0, /**/ 0.0, 0.0, 1.0, 0.0, /**/ 1.0, 0.0, 0.0, 0.0];
        let key = [1.0, 2.0, 3.0, 4.0, /**/ 1.0, 0.0, 1.0, 5.0, /**/ 3.0, 0.0, 2.0, -5.0];
        let value = [1.0, 2.0, 3.0, 4.0, /**/ 1.0, 0.0, 0.0, 10.0, /**/ 3.0, 2.0, 1.0, 20.0];
        let project = |values| Projection { values, stride: 4 };
        let attention = Attention { heads: HEADS, query: project(&query), key: project(&key), value: project(&value) };
        let tasks = [Task { queries: 0..1, keys: 0..1 }, Task { queries: 1..3, keys: 1..3 }];
        let mut out = [f32::NAN; 12];
        attention.run(&tasks, &mut out);
        // Weight of the second of two keys whose scores differ by `d`: 1 / (1 + exp(-d / sqrt(2))).
        let second = |d: f32| 1.0 / (1.0 + (-d / std::f32::consts::SQRT_2).exp());
        let (one, two) = (second(1.0), second(2.0));
        let expected = [
            [1.0, 2.0, 3.0, 4.0],                    // a single key has all the weight
            [2.0, 1.0, one, 10.0 + 10.0 * one],      // equal scores: the mean; then scores 1 and 2
            [1.0 + 2.0 * two, 2.0 * two, 0.5, 15.0], // scores 1 and 3; then equal ones
        ];
        for (got, expected) in out.iter().zip(expected.as_flattened()) {
            assert!((got - expected).abs() < 1e-5, "{out:?}");
        }
    }

    #[test]
    fn threads_change_nothing() {
        let heads = Heads { count: 4, width: 16 };
        let values: Vec<f32> = (0..300 * 192).map(|i| ((i * 7919) % 997) as f32 / 300.0 - 1.5).collect();
        let project = |start: usize| Projection { values: &values[start..], stride: 192 };
        let attention = Attention { heads, query: project(0), key: project(64), value: project(128) };
        let spans = [0..3, 3..40, 40..200, 200..201, 201..300];
        let tasks: Vec<Task> = spans.into_iter().map(|span| Task { queries: span.clone(), keys: span }).collect();
        let run = |threads| {
            let mut out = vec![0.0; 300 * 64];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| attention.run(&tasks, &mut out));
            out
        };
        let (one, three) = (run(1), run(3));
        assert!(one.iter().zip(&three).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn work_is_halved_by_products() {
        let task = |n: usize| Task { queries: 0..n, keys: 0..n };
        assert_eq!(half(&[task(10), task(10), task(10), task(10)], 400, 1), 2);
        assert_eq!(half(&[task(100), task(1), task(1)], 10_002, 1), 1);
        assert_eq!(half(&[task(1), task(1), task(100)], 10_002, 1), 2);
    }
}
