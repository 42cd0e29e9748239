// What queues do by their arguments: expire, stay short, sort.

import com.rabbitmq.client.*;
import java.util.*;

final class Queues {
  static AMQP.BasicProperties expiring(String milliseconds) {
    return new AMQP.BasicProperties.Builder().expiration(milliseconds).build();
  }

  static void ttl(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String queue = scope.declare(channel, "queue", Map.of("x-message-ttl", 500));
    Scope.sendTexts(channel, queue, List.of("old"));
    Harness.equal(channel.messageCount(queue), 1L, "before the queue's TTL");
    Thread.sleep(900);
    Harness.equal(channel.messageCount(queue), 0L, "after the queue's TTL");
    Scope.sendTexts(channel, queue, List.of("young"));
    Harness.equal(Scope.drain(channel, queue), List.of("young"), "within the queue's TTL");
    Scope.send(channel, "", queue, expiring("50"), "sooner"); // the lower of the two counts
    Thread.sleep(250);
    Harness.equal(Scope.drain(channel, queue), List.of(), "after the message's TTL");

    String single = scope.declare(channel, "message", null);
    Scope.send(channel, "", single, expiring("50"), "expired");
    Scope.send(channel, "", single, null, "stays");
    Scope.send(channel, "", single, expiring("50"), "expired behind");
    Scope.send(channel, "", single, expiring("60000"), "stays too");
    Thread.sleep(200);
    Harness.equal(Scope.drain(channel, single), List.of("stays", "stays too"), "messages with their own TTL");
    Scope.send(channel, "", single, expiring("0"), "at once");
    Harness.equal(Scope.drain(channel, single), List.of(), "messages with a TTL of 0");

    String unused = scope.declare(channel, "unused", Map.of("x-expires", 1200));
    for (int use = 0; use < 2; use++) { // each use starts the time again
      Thread.sleep(700);
      channel.basicGet(unused, true);
    }
    Thread.sleep(1900);
    Errors.refused(scope, 404, "queue after x-expires", other -> other.queueDeclarePassive(unused));

    String invalid = scope.queue("invalid");
    Errors.refused(scope, 406, "negative TTL",
        other -> other.queueDeclare(invalid, false, false, false, Map.of("x-message-ttl", -1)));
    Errors.closes(channel, 406, "expiration that is no number",
        bad -> bad.basicPublish("", single, expiring("soon"), new byte[0]));
  }

  static void maxLength(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String head = scope.declare(channel, "head", Map.of("x-max-length", 3));
    Scope.sendTexts(channel, head, Scope.numbers(0, 5));
    Harness.equal(Scope.drain(channel, head), Scope.numbers(2, 5), "drop-head");

    String reject = scope.declare(channel, "reject", Map.of("x-max-length", 2, "x-overflow", "reject-publish"));
    Scope.sendTexts(channel, reject, Scope.numbers(0, 2));
    Harness.equal(Scope.send(channel, "", reject, null, "2"), false, "confirm of a message too many");
    Harness.equal(Scope.drain(channel, reject), Scope.numbers(0, 2), "reject-publish");
    Scope.sendTexts(channel, reject, List.of("3"));

    String small = scope.declare(channel, "bytes", Map.of("x-max-length-bytes", 100));
    Scope.sendTexts(channel, small, List.of("a".repeat(40), "b".repeat(40), "c".repeat(40), "d".repeat(40)));
    Harness.equal(Scope.drain(channel, small), List.of("c".repeat(40), "d".repeat(40)), "x-max-length-bytes");
  }

  static void priority(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String queue = scope.declare(channel, "queue", Map.of("x-max-priority", 5));
    Object[][] messages = {
      {"low", 1}, {"5a", 5}, {"none", null}, {"5b", 200}, {"3", 3}, {"5c", 5}, {"low too", 1}, {"0", 0},
    };
    for (Object[] message : messages) {
      AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().priority((Integer) message[1]).build();
      Scope.send(channel, "", queue, properties, (String) message[0]);
    }
    Harness.equal(Scope.drain(channel, queue), List.of("5a", "5b", "5c", "3", "low", "low too", "none", "0"), "order");
  }
}
