// Confirms, transactions, returns, properties, bodies of every size.

import com.rabbitmq.client.*;
import java.math.BigDecimal;
import java.util.*;
import java.util.concurrent.*;

final class Publishing {
  private static final int FRAME_OVERHEAD = 8;
  private static final int MESSAGE_BYTES_MAX = 16 << 20;

  static void confirms(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String queue = scope.queue("queue");
    channel.queueDeclare(queue, true, false, false, null);
    for (int number = 0; number < Harness.MESSAGES; number++) {
      byte[] body = Scope.bytes(Integer.toString(number));
      channel.basicPublish("", queue, MessageProperties.PERSISTENT_TEXT_PLAIN, body);
    }
    channel.waitForConfirmsOrDie(Harness.DEADLINE_S * 1000L);
    channel.basicQos(200);
    Scope.Inbox inbox = Scope.consume(channel, queue, null);
    for (int number = 0; number < Harness.MESSAGES; number++) {
      Delivery delivery = inbox.take();
      Harness.equal(Scope.text(delivery), Integer.toString(number), "body in order");
      Harness.equal(delivery.getEnvelope().isRedeliver(), false, "redelivered");
      if (number % 100 == 99 || number == Harness.MESSAGES - 1) {
        channel.basicAck(delivery.getEnvelope().getDeliveryTag(), true);
      }
    }
    channel.close(); // what was not acknowledged would be back now
    Harness.equal(scope.channel().queueDelete(queue).getMessageCount(), 0, "messages left");
  }

  static void transactions(Scope scope) throws Exception {
    Channel watching = scope.channel();
    Channel channel = scope.channel();
    String queue = scope.declare(watching, "queue", null);
    channel.txSelect();
    channel.basicPublish("", queue, null, Scope.bytes("a"));
    channel.basicPublish("", queue, null, Scope.bytes("b"));
    Harness.equal(watching.messageCount(queue), 0L, "messages before the commit");
    channel.txCommit();
    Harness.equal(watching.messageCount(queue), 2L, "messages after the commit");
    channel.basicPublish("", queue, null, Scope.bytes("never"));
    channel.txRollback();
    channel.txCommit();
    Harness.equal(watching.messageCount(queue), 2L, "messages after a rollback");

    long tag = Scope.getOne(channel, queue, false).getEnvelope().getDeliveryTag();
    channel.basicAck(tag, false);
    channel.txRollback();
    channel.basicAck(tag, false); // the rollback took the first acknowledgement back
    channel.txCommit();
    tag = Scope.getOne(channel, queue, false).getEnvelope().getDeliveryTag();
    channel.basicAck(tag, false);
    channel.close(); // without a commit
    Harness.equal(Scope.drain(watching, queue), List.of("b"), "messages whose acknowledgement was not committed");

    Errors.refused(scope, 406, "commit on a channel without transactions", Channel::txCommit);
    Errors.refused(scope.confirming(), 406, "transactions on a channel with confirms", Channel::txSelect);
    Errors.refused(scope, 406, "confirms on a channel with transactions", other -> {
      other.txSelect();
      other.confirmSelect();
    });
  }

  static void returns(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String exchange = scope.declareExchange(channel, "exchange", BuiltinExchangeType.DIRECT);
    List<Object> events = Collections.synchronizedList(new ArrayList<>());
    CountDownLatch confirmed = new CountDownLatch(1);
    channel.addReturnListener((ReturnCallback) events::add);
    channel.addConfirmListener((tag, multiple) -> {
      events.add("ack");
      confirmed.countDown();
    }, (tag, multiple) -> events.add("nack"));
    AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder()
        .messageId("m-1").deliveryMode(2).headers(Map.of("number", 1)).build();
    channel.basicPublish(exchange, "unbound", true, properties, Scope.bytes("back"));
    confirmed.await();
    Harness.equal(events.size(), 2, "events");
    Return returned = (Return) events.get(0);
    Harness.equal(returned.getReplyCode() + " " + returned.getReplyText(), "312 NO_ROUTE", "reply");
    Harness.equal(returned.getExchange() + " " + returned.getRoutingKey(), exchange + " unbound", "where to");
    Harness.equal(returned.getProperties(), properties, "properties");
    Harness.equal(Scope.text(returned.getBody()), "back", "body");
  }

  static void ccAndBcc(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String to = scope.declare(channel, "to", null);
    String cc = scope.declare(channel, "cc", null);
    String bcc = scope.declare(channel, "bcc", null);
    Map<String, Object> headers = Map.of("CC", List.of(cc, to), "BCC", List.of(bcc));
    Scope.send(channel, "", to, new AMQP.BasicProperties.Builder().headers(headers).build(), "all");
    for (String queue : List.of(to, cc, bcc)) {
      GetResponse got = Scope.getOne(channel, queue, true);
      Harness.equal(Scope.plain(got.getProps().getHeaders()), Map.of("CC", List.of(cc, to)), "headers in " + queue);
      Harness.equal(got.getEnvelope().getRoutingKey(), to, "routing key");
      Harness.equal(channel.basicGet(queue, true), null, "second copy");
    }
    AMQP.BasicProperties invalid = new AMQP.BasicProperties.Builder().headers(Map.of("CC", "text")).build();
    Errors.closes(channel, 406, "CC that is no list", bad -> bad.basicPublish("", to, invalid, new byte[0]));
  }

  static void userId(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String queue = scope.declare(channel, "queue", null);
    Scope.send(channel, "", queue, new AMQP.BasicProperties.Builder().userId(Harness.USER).build(), "mine");
    Harness.equal(Scope.getOne(channel, queue, true).getProps().getUserId(), Harness.USER, "user id");
    AMQP.BasicProperties theirs = new AMQP.BasicProperties.Builder().userId("someone-else").build();
    Errors.closes(channel, 406, "another's user id", bad -> bad.basicPublish("", queue, theirs, new byte[0]));
    Harness.equal(scope.channel().messageCount(queue), 0L, "messages");
  }

  static void properties(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String queue = scope.declare(channel, "queue", null);
    Map<String, Object> headers = new HashMap<>();
    headers.put("string", "héllo");
    headers.put("empty", "");
    headers.put("int8", (byte) -8);
    headers.put("int16", (short) -30000);
    headers.put("int32", Integer.MIN_VALUE);
    headers.put("int64", Long.MIN_VALUE);
    headers.put("float", 0.5f);
    headers.put("double", 1.0 / 3);
    headers.put("decimal", new BigDecimal("3.14"));
    headers.put("timestamp", new Date(1_700_000_000_000L));
    headers.put("yes", true);
    headers.put("no", false);
    headers.put("none", null);
    headers.put("bytes", new byte[] {0, 1, -1});
    headers.put("list", List.of(1, "two", List.of(3), Map.of("four", 4)));
    headers.put("table", Map.of("deep", Map.of("deeper", "still")));
    AMQP.BasicProperties sent = new AMQP.BasicProperties.Builder()
        .contentType("application/x-test").contentEncoding("gzip").headers(headers).deliveryMode(2).priority(9)
        .correlationId("c-1").replyTo("r").expiration("600000").messageId("m-1")
        .timestamp(new Date(1_700_000_000_000L)).type("t").userId(Harness.USER).appId("interop").clusterId("cluster")
        .build();
    Harness.equal(Scope.send(channel, "", queue, sent, "body"), true, "confirm");
    AMQP.BasicProperties got = Scope.getOne(channel, queue, true).getProps();
    Harness.equal(Scope.plain(got.getHeaders()), Scope.plain(headers), "headers");
    Harness.equal(got.builder().headers(null).build(), sent.builder().headers(null).build(), "properties");
  }

  static void large(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String queue = scope.declare(channel, "queue", null);
    int frameMax = scope.connection.getFrameMax();
    int frame = frameMax - FRAME_OVERHEAD;
    Random random = new Random(1);
    for (int size : new int[] {
      0, 1, frame - 1, frame, frame + 1, frameMax - 1, frameMax + 1, 1 << 20, MESSAGE_BYTES_MAX
    }) {
      byte[] body = new byte[size];
      random.nextBytes(body);
      channel.basicPublish("", queue, null, body);
      channel.waitForConfirmsOrDie(Harness.DEADLINE_S * 1000L);
      Harness.equal(Arrays.equals(Scope.getOne(channel, queue, true).getBody(), body), true, size + " bytes");
    }
    Errors.closes(channel, 406, "body above the limit",
        publisher -> publisher.basicPublish("", queue, null, new byte[MESSAGE_BYTES_MAX + 1]));
    Harness.equal(scope.channel().messageCount(queue), 0L, "messages");
  }
}
