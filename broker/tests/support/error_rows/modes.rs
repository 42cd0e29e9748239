//! Confirms and transactions: a channel has one or the other.

use wire::Method;

use super::super::errors::{Row, channel, method, row};

const CONFIRM: (u16, u16) = (85, 10);
const SELECT: (u16, u16) = (90, 10);
const COMMIT: (u16, u16) = (90, 20);
const ROLLBACK: (u16, u16) = (90, 30);
const NO_TRANSACTION: &str = "PRECONDITION_FAILED - channel is not transactional";

pub fn modes() -> Vec<Row> {
    vec![
        row(
            "a transaction on a channel with confirms",
            |client| {
                client.confirm_select(1);
                client.send(1, Method::TxSelect);
            },
            channel(
                406,
                SELECT,
                "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
            ),
        ),
        row(
            "confirms on a channel with a transaction",
            |client| {
                client.send(1, Method::TxSelect);
                client.expect(1, Method::TxSelectOk);
                client.send(1, Method::ConfirmSelect { no_wait: false });
            },
            channel(
                406,
                CONFIRM,
                "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
            ),
        ),
        method(
            "a commit without a transaction",
            Method::TxCommit,
            channel(406, COMMIT, NO_TRANSACTION),
        ),
        method(
            "a rollback without a transaction",
            Method::TxRollback,
            channel(406, ROLLBACK, NO_TRANSACTION),
        ),
        row(
            "a commit on a channel with confirms",
            |client| {
                client.confirm_select(1);
                client.send(1, Method::TxCommit);
            },
            channel(406, COMMIT, NO_TRANSACTION),
        ),
    ]
}
