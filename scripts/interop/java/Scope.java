// What one feature uses, and short forms for what nearly every feature does; all of it goes when the feature ends.

import com.rabbitmq.client.*;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

final class Scope {
  static final int QUIET_MS = 200;

  private final String feature;
  private final List<Connection> connections = new ArrayList<>();
  private final List<String> queues = new ArrayList<>();
  private final List<String> exchanges = new ArrayList<>();
  Connection connection;

  Scope(String feature) {
    this.feature = feature;
  }

  void open() throws Exception {
    connection = connect();
  }

  static ConnectionFactory factory() {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setHost(Harness.HOST);
    factory.setPort(Harness.PORT);
    factory.setUsername(Harness.USER);
    factory.setPassword(Harness.PASSWORD);
    factory.setVirtualHost(Harness.VHOST);
    factory.setRequestedHeartbeat(20);
    factory.setAutomaticRecoveryEnabled(false);
    return factory;
  }

  Connection connect() throws Exception {
    return connect(factory());
  }

  Connection connect(ConnectionFactory factory) throws Exception {
    Connection opened = factory.newConnection();
    connections.add(opened);
    return opened;
  }

  Channel channel() throws IOException {
    return connection.createChannel();
  }

  Channel confirming() throws IOException {
    Channel channel = channel();
    channel.confirmSelect();
    return channel;
  }

  private String named(String name) {
    return "interop.java." + feature + "." + name;
  }

  /** The name of a queue that does not exist yet and is deleted at the end. */
  String queue(String name) throws Exception {
    queues.add(named(name));
    try (Channel channel = channel()) {
      channel.queueDelete(named(name));
    }
    return named(name);
  }

  String exchange(String name) throws Exception {
    exchanges.add(named(name));
    try (Channel channel = channel()) {
      channel.exchangeDelete(named(name));
    }
    return named(name);
  }

  /** Declares a transient queue that every connection may use. */
  String declare(Channel channel, String name, Map<String, Object> arguments) throws Exception {
    String queue = queue(name);
    channel.queueDeclare(queue, false, false, false, arguments);
    return queue;
  }

  String exclusive(Channel channel, String name) throws Exception {
    String queue = queue(name);
    channel.queueDeclare(queue, false, true, false, null);
    return queue;
  }

  String declareExchange(Channel channel, String name, BuiltinExchangeType type) throws Exception {
    String exchange = exchange(name);
    channel.exchangeDeclare(exchange, type, false);
    return exchange;
  }

  void close() throws Exception {
    for (Connection opened : connections) {
      opened.abort(2000);
    }
    try (Connection janitor = factory().newConnection(); Channel channel = janitor.createChannel()) {
      for (String queue : queues) {
        channel.queueDelete(queue);
      }
      for (String exchange : exchanges) {
        channel.exchangeDelete(exchange);
      }
    }
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  static String text(byte[] body) {
    return new String(body, StandardCharsets.UTF_8);
  }

  static String text(Delivery delivery) {
    return text(delivery.getBody());
  }

  static List<String> texts(List<Delivery> deliveries) {
    return deliveries.stream().map(Scope::text).collect(Collectors.toList());
  }

  static List<String> numbers(int from, int to) {
    return IntStream.range(from, to).mapToObj(Integer::toString).collect(Collectors.toList());
  }

  /** Publishes and says whether the broker confirmed it. */
  static boolean send(Channel channel, String exchange, String key, AMQP.BasicProperties properties, String body)
      throws Exception {
    channel.basicPublish(exchange, key, properties, bytes(body));
    return channel.waitForConfirms(Harness.DEADLINE_S * 1000L);
  }

  static void sendTexts(Channel channel, String queue, List<String> bodies) throws Exception {
    for (String body : bodies) {
      Harness.equal(send(channel, "", queue, null, body), true, "confirm of " + body);
    }
  }

  /** What a consumer received. */
  static final class Inbox extends LinkedBlockingQueue<Delivery> {
    private static final long serialVersionUID = 1;
    String tag;

    List<Delivery> take(int count) throws InterruptedException {
      List<Delivery> deliveries = new ArrayList<>();
      while (deliveries.size() < count) {
        deliveries.add(take());
      }
      return deliveries;
    }

    void quiet(String what) throws InterruptedException {
      Delivery more = poll(QUIET_MS, TimeUnit.MILLISECONDS);
      Harness.equal(more == null ? null : text(more), null, what);
    }
  }

  static Inbox consume(Channel channel, String queue, Map<String, Object> arguments) throws IOException {
    Inbox inbox = new Inbox();
    inbox.tag = channel.basicConsume(queue, false, arguments, (tag, delivery) -> inbox.add(delivery), tag -> {});
    return inbox;
  }

  static GetResponse getOne(Channel channel, String queue, boolean autoAck) throws IOException {
    GetResponse response = channel.basicGet(queue, autoAck);
    if (response == null) {
      throw new AssertionError(queue + " is empty");
    }
    return response;
  }

  static List<String> drain(Channel channel, String queue) throws IOException {
    List<String> bodies = new ArrayList<>();
    for (GetResponse got; (got = channel.basicGet(queue, true)) != null; ) {
      bodies.add(text(got.getBody()));
    }
    return bodies;
  }

  /** Gets the message that arrives a moment later, such as a dead letter. */
  static GetResponse await(Channel channel, String queue) throws Exception {
    for (;;) {
      GetResponse got = channel.basicGet(queue, true);
      if (got != null) {
        return got;
      }
      Thread.sleep(20);
    }
  }

  /** Header values with the library's long strings as strings, so that they compare and print. */
  static Object plain(Object value) {
    if (value instanceof LongString) {
      return value.toString();
    } else if (value instanceof byte[]) {
      return Arrays.toString((byte[]) value);
    } else if (value instanceof List) {
      return ((List<?>) value).stream().map(Scope::plain).collect(Collectors.toList());
    } else if (value instanceof Map) {
      Map<String, Object> map = new TreeMap<>();
      ((Map<?, ?>) value).forEach((name, field) -> map.put(name.toString(), plain(field)));
      return map;
    }
    return value;
  }
}
