// Exchanges, queues and bindings.

import com.rabbitmq.client.*;
import java.util.*;
import java.util.concurrent.*;

final class Routing {
  /** Publishes and names, sorted, the queues that have the message; takes it from them. */
  private static String routed(
      Channel channel, Map<String, String> queues, String exchange, String key, Map<String, Object> headers)
      throws Exception {
    AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().headers(headers).build();
    Harness.equal(Scope.send(channel, exchange, key, properties, key), true, "confirm");
    StringJoiner reached = new StringJoiner(" ");
    for (Map.Entry<String, String> queue : new TreeMap<>(queues).entrySet()) {
      Scope.drain(channel, queue.getValue()).forEach(body -> reached.add(queue.getKey()));
    }
    return reached.toString();
  }

  static void topology(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String first = scope.exclusive(channel, "first");
    String second = scope.exclusive(channel, "second");
    Map<String, String> queues = Map.of("first", first, "second", second);
    for (BuiltinExchangeType type : List.of(BuiltinExchangeType.DIRECT, BuiltinExchangeType.FANOUT,
        BuiltinExchangeType.TOPIC, BuiltinExchangeType.HEADERS)) {
      String exchange = scope.exchange(type.getType());
      channel.exchangeDeclare(exchange, type, true);
      channel.exchangeDeclarePassive(exchange);
      Map<String, Object> headers = Map.of("number", 1);
      channel.queueBind(first, exchange, "key", headers);
      Harness.equal(routed(channel, queues, exchange, "key", headers), "first", exchange);
      channel.queueUnbind(first, exchange, "key", headers);
      Harness.equal(routed(channel, queues, exchange, "key", headers), "", exchange + " unbound");
    }

    String source = scope.declareExchange(channel, "source", BuiltinExchangeType.TOPIC);
    String sink = scope.declareExchange(channel, "sink", BuiltinExchangeType.FANOUT);
    channel.exchangeBind(sink, source, "a.*");
    channel.queueBind(first, sink, "");
    channel.queueBind(second, source, "a.b");
    Harness.equal(routed(channel, queues, source, "a.b", null), "first second", "exchange to exchange");
    channel.exchangeUnbind(sink, source, "a.*");
    Harness.equal(routed(channel, queues, source, "a.b", null), "second", "exchange unbound");

    String internal = scope.exchange("internal");
    channel.exchangeDeclare(internal, BuiltinExchangeType.FANOUT, false, false, true, null);
    Errors.closes(scope.channel(), 403, "publish to an internal exchange",
        publisher -> publisher.basicPublish(internal, "", null, new byte[0]));
    String shortLived = scope.exchange("autodelete");
    channel.exchangeDeclare(shortLived, BuiltinExchangeType.FANOUT, false, true, null);
    channel.queueBind(first, shortLived, "");
    channel.queueUnbind(first, shortLived, "");
    Errors.refused(scope, 404, "auto-delete exchange without bindings",
        other -> other.exchangeDeclarePassive(shortLived));
    deletes(scope, channel, source, first, second);
  }

  private static void deletes(Scope scope, Channel channel, String source, String first, String second)
      throws Exception {
    Errors.refused(scope, 406, "exchange in use", other -> other.exchangeDelete(source, true));
    Scope.sendTexts(channel, second, List.of("kept"));
    Errors.refused(scope, 406, "queue with a message", other -> other.queueDelete(second, false, true));
    Scope.Inbox user = Scope.consume(channel, first, null);
    Errors.refused(scope, 406, "queue with a consumer", other -> other.queueDelete(first, true, false));
    channel.basicCancel(user.tag);
    Harness.equal(channel.queueDelete(first, true, true).getMessageCount(), 0, "messages deleted");
    Harness.equal(channel.queueDelete(second).getMessageCount(), 1, "messages deleted");
    channel.exchangeDelete(source, true); // its last binding went with the queue
  }

  static void topicAndHeaders(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String topic = scope.declareExchange(channel, "topic", BuiltinExchangeType.TOPIC);
    Map<String, String> patterns =
        Map.of("star", "*.orange.*", "tail", "*.*.rabbit", "lazy", "lazy.#", "every", "#", "middle", "a.#.z");
    Map<String, String> queues = new HashMap<>();
    for (Map.Entry<String, String> pattern : patterns.entrySet()) {
      queues.put(pattern.getKey(), scope.exclusive(channel, pattern.getKey()));
      channel.queueBind(queues.get(pattern.getKey()), topic, pattern.getValue());
    }
    String[][] keys = {
      {"quick.orange.rabbit", "every star tail"}, {"lazy.orange.elephant", "every lazy star"},
      {"lazy.pink.rabbit", "every lazy tail"}, {"lazy", "every lazy"}, {"lazy.a.b.c", "every lazy"},
      {"orange", "every"}, {"", "every"}, {"quick.orange.male.rabbit", "every"}, {"a.z", "every middle"},
      {"a.b.c.z", "every middle"}, {"a..z", "every middle"},
    };
    for (String[] key : keys) {
      Harness.equal(routed(channel, queues, topic, key[0], null), key[1], "topic key " + key[0]);
    }

    String exchange = scope.declareExchange(channel, "headers", BuiltinExchangeType.HEADERS);
    Map<String, String> matches = Map.of("all", "all", "any", "any", "allx", "all-with-x", "anyx", "any-with-x");
    Map<String, String> matching = new HashMap<>();
    for (Map.Entry<String, String> match : matches.entrySet()) {
      matching.put(match.getKey(), scope.exclusive(channel, match.getKey()));
      Map<String, Object> arguments = Map.of("x-match", match.getValue(), "format", "pdf", "x-pages", 4);
      channel.queueBind(matching.get(match.getKey()), exchange, "", arguments);
    }
    Map<Map<String, Object>, String> expected = Map.of(
        Map.of("format", "pdf", "x-pages", 4), "all allx any anyx",
        Map.of("format", "pdf"), "all any anyx",
        Map.of("x-pages", 4), "anyx",
        Map.of("format", "doc"), "",
        Map.of("format", "pdf", "x-pages", 5, "more", true), "all any anyx",
        Map.of(), "");
    for (Map.Entry<Map<String, Object>, String> sent : expected.entrySet()) {
      String reached = routed(channel, matching, exchange, "", sent.getKey());
      Harness.equal(reached, sent.getValue(), sent.getKey().toString());
    }
  }

  static void alternateExchange(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String alternate = scope.declareExchange(channel, "alternate", BuiltinExchangeType.FANOUT);
    String main = scope.exchange("main");
    Map<String, Object> arguments = Map.of("alternate-exchange", alternate);
    channel.exchangeDeclare(main, BuiltinExchangeType.DIRECT, false, false, arguments);
    String known = scope.exclusive(channel, "known");
    String unknown = scope.exclusive(channel, "unknown");
    channel.queueBind(known, main, "known");
    channel.queueBind(unknown, alternate, "");
    BlockingQueue<Return> returns = new LinkedBlockingQueue<>();
    channel.addReturnListener((ReturnCallback) returns::add);
    mandatory(channel, main, "known");
    mandatory(channel, main, "else");
    Harness.equal(returns.size(), 0, "returns");
    Harness.equal(Scope.drain(channel, known), List.of("known"), "the known key");
    Harness.equal(Scope.drain(channel, unknown), List.of("else"), "the alternate exchange's queue");
    channel.queueUnbind(unknown, alternate, "");
    mandatory(channel, main, "nowhere");
    Harness.equal(Scope.text(returns.take().getBody()), "nowhere", "returned");
  }

  private static void mandatory(Channel channel, String exchange, String key) throws Exception {
    channel.basicPublish(exchange, key, true, null, Scope.bytes(key));
    channel.waitForConfirmsOrDie(Harness.DEADLINE_S * 1000L);
  }
}
