// What the RabbitMQ Java client must be able to do with the broker. See ../../interop.sh.

import com.rabbitmq.client.*;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;

public final class Interop {
  static final int MESSAGES = Integer.parseInt(System.getenv("INTEROP_MESSAGES"));
  static final int IDLE_S = Integer.parseInt(System.getenv("INTEROP_IDLE_S"));
  static final int DEADLINE_S = 30;

  static void ok(String what) {
    System.out.println("  ok " + what);
  }

  static void expect(Object actual, Object expected, String what) {
    if (!Objects.equals(actual, expected)) {
      throw new AssertionError(what + ": expected " + expected + ", got " + actual);
    }
  }

  static byte[] bytes(Object value) {
    return value.toString().getBytes(StandardCharsets.UTF_8);
  }

  static String text(byte[] body) {
    return new String(body, StandardCharsets.UTF_8);
  }

  static ConnectionFactory factory(String password, int heartbeat) {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setHost(System.getenv("AMQP_HOST"));
    factory.setPort(Integer.parseInt(System.getenv("AMQP_PORT")));
    factory.setUsername("guest");
    factory.setPassword(password);
    factory.setRequestedHeartbeat(heartbeat);
    factory.setAutomaticRecoveryEnabled(false);
    return factory;
  }

  static void wrongPasswordIsRefused() throws Exception {
    try (Connection connection = factory("wrong", 20).newConnection()) {
      throw new AssertionError("the wrong password was accepted");
    } catch (AuthenticationFailureException refused) {
      expect(refused.getMessage().contains("ACCESS_REFUSED"), true, "403 in " + refused.getMessage());
    }
    ok("wrong password refused with 403");
  }

  static void publishAndConsume(Channel channel, String queue) throws Exception {
    for (int number = 0; number < MESSAGES; number++) {
      channel.basicPublish("interop.java", "stock." + number, null, bytes(number));
    }
    channel.waitForConfirmsOrDie(DEADLINE_S * 1000);
    ok("published " + MESSAGES + " with confirms");
    channel.basicQos(200);
    BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
    String tag = channel.basicConsume(queue, false, (consumer, delivery) -> deliveries.add(delivery), consumer -> {});
    for (int number = 0; number < MESSAGES; number++) {
      Delivery delivery = next(deliveries);
      expect(text(delivery.getBody()), Integer.toString(number), "body in order");
      if (number % 100 == 99 || number == MESSAGES - 1) {
        channel.basicAck(delivery.getEnvelope().getDeliveryTag(), true);
      }
    }
    channel.basicCancel(tag);
    expect(channel.messageCount(queue), 0L, "messages left");
    ok("consumed and acknowledged " + MESSAGES);
  }

  static Delivery next(BlockingQueue<Delivery> deliveries) throws InterruptedException {
    Delivery delivery = deliveries.poll(DEADLINE_S, TimeUnit.SECONDS);
    if (delivery == null) {
      throw new AssertionError("no delivery came");
    }
    return delivery;
  }

  static void mandatoryMessagesReturn(Channel channel) throws Exception {
    CompletableFuture<Return> returned = new CompletableFuture<>();
    channel.addReturnListener((ReturnCallback) returned::complete);
    channel.basicPublish("interop.java", "unbound", true, null, bytes("back"));
    channel.waitForConfirmsOrDie(DEADLINE_S * 1000);
    Return message = returned.get(DEADLINE_S, TimeUnit.SECONDS);
    expect(message.getReplyCode() + text(message.getBody()), "312back", "returned message");
    ok("unroutable mandatory message returned with 312, then confirmed");
  }

  static void prefetchAndRequeue(Channel channel, String queue) throws Exception {
    for (int number = 0; number < 20; number++) {
      channel.basicPublish("", queue, null, bytes(number));
    }
    channel.waitForConfirmsOrDie(DEADLINE_S * 1000);
    channel.basicQos(5);
    BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
    String tag = channel.basicConsume(queue, false, (consumer, delivery) -> deliveries.add(delivery), consumer -> {});
    Delivery held = null;
    for (int number = 0; number < 5; number++) {
      held = next(deliveries);
      expect(text(held.getBody()), Integer.toString(number), "body in order");
    }
    expect(deliveries.poll(500, TimeUnit.MILLISECONDS), null, "sixth message");
    expect(channel.messageCount(queue), 15L, "messages still ready");
    ok("prefetch of 5 held back the other 15");
    channel.basicCancel(tag);
    channel.basicNack(held.getEnvelope().getDeliveryTag(), true, true);
    GetResponse first = channel.basicGet(queue, false);
    expect(text(first.getBody()) + first.getEnvelope().isRedeliver(), "0true", "first message after requeue");
    channel.basicReject(first.getEnvelope().getDeliveryTag(), false);
    expect(channel.queuePurge(queue).getMessageCount(), 19, "messages purged");
    ok("nacked messages came back in order, marked redelivered; reject and purge removed them");
  }

  static void largeMessage(Channel channel, String queue) throws Exception {
    byte[] body = new byte[1 << 20];
    new Random(1).nextBytes(body);
    Map<String, Object> headers = new HashMap<>();
    headers.put("number", -(1L << 40));
    headers.put("flag", true);
    headers.put("list", List.of(1, 2L, 3.5));
    headers.put("none", null);
    AMQP.BasicProperties sent =
        new AMQP.BasicProperties.Builder().contentType("application/x-test").headers(headers).deliveryMode(2)
            .priority(3).correlationId("c-1").replyTo("r").expiration("600000").messageId("m-1")
            .timestamp(new Date(1_700_000_000_000L)).type("t").appId("interop").build();
    channel.basicPublish("", queue, sent, body);
    channel.waitForConfirmsOrDie(DEADLINE_S * 1000);
    GetResponse got = channel.basicGet(queue, true);
    expect(Arrays.equals(got.getBody(), body), true, "1 MiB body identical");
    expect(got.getProps(), sent, "properties");
    ok("1 MiB body and all properties came back identical");
  }

  static void missingQueueClosesTheChannelOnly(Connection connection) throws Exception {
    Channel channel = connection.createChannel();
    try {
      channel.queueDeclarePassive("interop.missing");
      throw new AssertionError("a missing queue was found");
    } catch (IOException refused) {
      ShutdownSignalException signal = (ShutdownSignalException) refused.getCause();
      expect(((AMQP.Channel.Close) signal.getReason()).getReplyCode(), 404, "reply code");
    }
    connection.createChannel().close();
    ok("passive declare of a missing queue: 404, and the connection lives on");
  }

  static void heartbeatsKeepAnIdleConnection() throws Exception {
    Connection connection = factory("guest", 1).newConnection();
    Thread.sleep(IDLE_S * 1000L);
    connection.createChannel().close();
    connection.close();
    ok("heartbeat of 1 s kept the connection over " + IDLE_S + " idle seconds");
  }

  public static void main(String[] args) throws Exception {
    wrongPasswordIsRefused();
    Connection connection = factory("guest", 20).newConnection();
    expect(connection.getHeartbeat(), 20, "negotiated heartbeat");
    ok("connected as guest, heartbeat 20 s; client " + connection.getClientProperties().get("version"));
    Channel channel = connection.createChannel();
    channel.exchangeDeclare("interop.java", "topic", true);
    String queue = channel.queueDeclare("", false, true, false, null).getQueue();
    channel.queueBind(queue, "interop.java", "stock.*.#");
    ok("declared a topic exchange and the queue " + queue + ", bound it");
    channel.confirmSelect();
    publishAndConsume(channel, queue);
    mandatoryMessagesReturn(channel);
    prefetchAndRequeue(channel, queue);
    largeMessage(channel, queue);
    missingQueueClosesTheChannelOnly(connection);
    channel.exchangeDelete("interop.java");
    connection.close();
    heartbeatsKeepAnIdleConnection();
    ok("closed cleanly");
  }
}
