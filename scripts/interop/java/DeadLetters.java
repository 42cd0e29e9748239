// Dead-lettering: why, where from, how often.

import com.rabbitmq.client.*;
import java.util.*;

final class DeadLetters {
  private static List<?> deaths(Map<String, Object> headers) {
    return (List<?>) ((Map<?, ?>) Scope.plain(headers)).get("x-death");
  }

  private static void checkDeath(GetResponse letter, Map<String, Object> expected) {
    Map<String, Object> headers = letter.getProps().getHeaders();
    Map<?, ?> death = (Map<?, ?>) deaths(headers).get(0);
    long age = System.currentTimeMillis() - ((Date) death.remove("time")).getTime();
    Harness.equal(Math.abs(age) < 60_000, true, "x-death time, " + age + " ms ago, is now");
    Harness.equal(death, expected, "x-death");
    for (String which : List.of("x-first-death-", "x-last-death-")) {
      if (which.equals("x-last-death-") && Harness.onRabbitMQ3("x-last-death-* came with RabbitMQ 3.13")) {
        continue;
      }
      for (String field : List.of("reason", "queue", "exchange")) {
        Harness.equal(Scope.plain(headers.get(which + field)), expected.get(field), which + field);
      }
    }
  }

  private static Map<String, Object> death(String queue, String exchange, String reason, String... keys) {
    return new TreeMap<>(Map.of(
        "count", 1L, "reason", reason, "queue", queue, "exchange", exchange, "routing-keys", List.of(keys)));
  }

  static void deadLetter(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String exchange = scope.declareExchange(channel, "exchange", BuiltinExchangeType.DIRECT);
    String dlx = scope.declareExchange(channel, "dlx", BuiltinExchangeType.TOPIC);
    String dead = scope.declare(channel, "dead", null);
    channel.queueBind(dead, dlx, "#");

    String rejected = work(scope, channel, "rejected", exchange, Map.of("x-dead-letter-exchange", dlx));
    AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder()
        .headers(Map.of("kept", 1, "CC", List.of("copy"))).messageId("m-1").build();
    Scope.send(channel, exchange, "rejected", properties, "no");
    channel.basicReject(Scope.getOne(channel, rejected, false).getEnvelope().getDeliveryTag(), false);
    GetResponse letter = Scope.await(channel, dead);
    checkDeath(letter, death(rejected, exchange, "rejected", "rejected", "copy"));
    Harness.equal(letter.getEnvelope().getExchange() + " " + letter.getEnvelope().getRoutingKey(), dlx + " rejected", "to");
    Harness.equal(Scope.text(letter.getBody()), "no", "body");
    Harness.equal(letter.getProps().getMessageId() + letter.getProps().getHeaders().get("kept"), "m-11", "properties");

    Map<String, Object> arguments = Map.of("x-dead-letter-exchange", dlx, "x-dead-letter-routing-key", "other.key");
    String expired = work(scope, channel, "expired", exchange, arguments);
    Scope.send(channel, exchange, "expired", Queues.expiring("50"), "late");
    letter = Scope.await(channel, dead);
    Map<String, Object> expected = death(expired, exchange, "expired", "expired");
    expected.put("original-expiration", "50");
    checkDeath(letter, expected);
    Harness.equal(letter.getEnvelope().getRoutingKey(), "other.key", "routing key");
    Harness.equal(letter.getProps().getExpiration(), null, "expiration");

    arguments = Map.of("x-dead-letter-exchange", dlx, "x-max-length", 1);
    String small = work(scope, channel, "short", exchange, arguments);
    Scope.send(channel, exchange, "short", null, "first");
    Scope.send(channel, exchange, "short", null, "second");
    letter = Scope.await(channel, dead);
    Harness.equal(Scope.text(letter.getBody()), "first", "dropped head");
    checkDeath(letter, death(small, exchange, "maxlen", "short"));

    arguments = Map.of("x-dead-letter-exchange", dlx, "x-max-length", 1, "x-overflow", "reject-publish-dlx");
    String full = work(scope, channel, "full", exchange, arguments);
    Harness.equal(Scope.send(channel, exchange, "full", null, "first"), true, "confirm of the first");
    Harness.equal(Scope.send(channel, exchange, "full", null, "second"), false, "confirm of the second");
    letter = Scope.await(channel, dead);
    Harness.equal(Scope.text(letter.getBody()), "second", "rejected publish");
    checkDeath(letter, death(full, exchange, "maxlen", "full"));
    retries(scope, channel);
    cycle(scope, channel);
  }

  private static String work(
      Scope scope, Channel channel, String name, String exchange, Map<String, Object> arguments) throws Exception {
    String queue = scope.declare(channel, name, arguments);
    channel.queueBind(queue, exchange, name);
    return queue;
  }

  private static Map<String, Object> toQueue(String queue, Map<String, Object> more) {
    Map<String, Object> arguments = new HashMap<>(more);
    arguments.put("x-dead-letter-exchange", "");
    arguments.put("x-dead-letter-routing-key", queue);
    return arguments;
  }

  /** A message that is rejected, waits in a queue with a TTL and comes back: counts rise, newest entry first. */
  private static void retries(Scope scope, Channel channel) throws Exception {
    String wait = scope.queue("wait");
    String work = scope.declare(channel, "retried", toQueue(wait, Map.of()));
    channel.queueDeclare(wait, false, false, false, toQueue(work, Map.of("x-message-ttl", 30)));
    Scope.sendTexts(channel, work, List.of("again"));
    Scope.Inbox inbox = Scope.consume(channel, work, null);
    for (long round = 0; round < 3; round++) {
      Delivery delivery = inbox.take();
      if (round > 0) {
        List<String> found = new ArrayList<>();
        for (Object entry : deaths(delivery.getProperties().getHeaders())) {
          Map<?, ?> death = (Map<?, ?>) entry;
          found.add(death.get("queue") + " " + death.get("reason") + " " + death.get("count"));
        }
        Harness.equal(found, List.of(wait + " expired " + round, work + " rejected " + round), "x-death");
        Object first = delivery.getProperties().getHeaders().get("x-first-death-queue");
        Harness.equal(first.toString(), work, "x-first-death-queue");
      }
      if (round < 2) {
        channel.basicNack(delivery.getEnvelope().getDeliveryTag(), false, false);
      } else {
        channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
      }
    }
  }

  /** A cycle without a rejection ends: the message is dropped when it would enter the queue again. */
  private static void cycle(Scope scope, Channel channel) throws Exception {
    String queue = scope.queue("cycle");
    channel.queueDeclare(queue, false, false, false, toQueue(queue, Map.of("x-message-ttl", 30)));
    Scope.sendTexts(channel, queue, List.of("round"));
    Thread.sleep(500);
    Harness.equal(channel.messageCount(queue), 0L, "messages in a cycle");
  }

  static void deliveryLimit(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String queue = scope.queue("queue");
    String dead = scope.queue("dead");
    channel.queueDeclare(dead, true, false, false, null);
    Map<String, Object> arguments = toQueue(dead, Map.of("x-queue-type", "quorum", "x-delivery-limit", 2));
    channel.queueDeclare(queue, true, false, false, arguments);
    Scope.send(channel, "", queue, MessageProperties.PERSISTENT_BASIC, "poison");
    Scope.Inbox inbox = Scope.consume(channel, queue, null);
    for (Long count : Arrays.asList(null, 1L, 2L)) {
      Delivery delivery = inbox.take();
      Map<String, Object> headers = Optional.ofNullable(delivery.getProperties().getHeaders()).orElse(Map.of());
      Harness.equal(headers.get("x-delivery-count"), count, "x-delivery-count");
      Harness.equal(delivery.getEnvelope().isRedeliver(), count != null, "redelivered");
      channel.basicReject(delivery.getEnvelope().getDeliveryTag(), true); // since 4.3 nack with requeue does not count
    }
    GetResponse letter = Scope.await(channel, dead);
    Harness.equal(Scope.text(letter.getBody()), "poison", "dead letter");
    checkDeath(letter, death(queue, "", "delivery_limit", queue));
    inbox.quiet("after the delivery limit");
  }
}
