// Getting, consuming, acknowledging.

import com.rabbitmq.client.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

final class Consuming {
  private static final String REPLY_TO = "amq.rabbitmq.reply-to";

  private static String describe(GetResponse got) {
    return Scope.text(got.getBody()) + " redelivered " + got.getEnvelope().isRedeliver() + ", left "
        + got.getMessageCount();
  }

  private static long tag(GetResponse got) {
    return got.getEnvelope().getDeliveryTag();
  }

  static void get(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String queue = scope.declare(channel, "queue", null);
    Scope.sendTexts(channel, queue, Scope.numbers(0, 3));
    GetResponse first = channel.basicGet(queue, false);
    Harness.equal(describe(first), "0 redelivered false, left 2", "first");
    channel.basicNack(tag(first), false, true);
    GetResponse again = channel.basicGet(queue, false);
    Harness.equal(describe(again), "0 redelivered true, left 2", "again");
    channel.basicAck(tag(again), false);
    Harness.equal(describe(channel.basicGet(queue, true)), "1 redelivered false, left 1", "without acknowledgement");
    Harness.equal(describe(channel.basicGet(queue, false)), "2 redelivered false, left 0", "last");
    Harness.equal(channel.basicGet(queue, false), null, "empty");
    channel.close(); // gives back only what was neither acknowledged nor got without acknowledgement
    Harness.equal(describe(scope.channel().basicGet(queue, false)), "2 redelivered true, left 0", "given back");
  }

  static void prefetch(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String queue = scope.declare(channel, "consumer", null);
    Scope.sendTexts(channel, queue, Scope.numbers(0, 20));
    channel.basicQos(5);
    Scope.Inbox inbox = Scope.consume(channel, queue, null);
    List<Delivery> held = inbox.take(5);
    Harness.equal(Scope.texts(held), Scope.numbers(0, 5), "held");
    inbox.quiet("beyond the consumer's prefetch count");
    Harness.equal(channel.messageCount(queue), 15L, "ready");
    channel.basicAck(held.get(1).getEnvelope().getDeliveryTag(), true);
    Harness.equal(Scope.texts(inbox.take(2)), Scope.numbers(5, 7), "after two acknowledgements");
    inbox.quiet("beyond the consumer's prefetch count again");

    Channel shared = scope.confirming();
    String other = scope.declare(shared, "channel", null);
    Scope.sendTexts(shared, other, Scope.numbers(0, 20));
    shared.basicQos(3, true);
    Scope.Inbox both = new Scope.Inbox();
    for (int consumer = 0; consumer < 2; consumer++) {
      shared.basicConsume(other, false, (tag, delivery) -> both.add(delivery), tag -> {});
    }
    held = both.take(3);
    both.quiet("beyond the channel's prefetch count");
    shared.basicAck(held.get(0).getEnvelope().getDeliveryTag(), false);
    both.take(1);
    both.quiet("beyond the channel's prefetch count again");
    Harness.equal(shared.messageCount(other), 16L, "ready");
  }

  private static List<GetResponse> take(Channel channel, String queue, int count) throws Exception {
    List<GetResponse> taken = new ArrayList<>();
    while (taken.size() < count) {
      taken.add(Scope.getOne(channel, queue, false));
    }
    return taken;
  }

  /** Bodies, with a + for what is redelivered. */
  private static String marked(List<GetResponse> taken) {
    return taken.stream().map(got -> Scope.text(got.getBody()) + (got.getEnvelope().isRedeliver() ? "+" : ""))
        .collect(Collectors.joining(" "));
  }

  static void requeue(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String queue = scope.declare(channel, "queue", null);
    Scope.sendTexts(channel, queue, Scope.numbers(0, 6));
    channel.basicNack(tag(take(channel, queue, 4).get(2)), true, true);
    List<GetResponse> second = take(channel, queue, 4); // 0, 1, 2 again, then 4: 3 is still out
    Harness.equal(marked(second), "0+ 1+ 2+ 4", "after nack of several");
    channel.basicReject(tag(second.get(1)), true);
    Harness.equal(marked(take(channel, queue, 1)), "1+", "after reject");
    channel.basicRecover(true);
    Harness.equal(marked(take(channel, queue, 6)), "0+ 1+ 2+ 3+ 4+ 5", "after recover");
    channel.basicNack(0, true, false); // tag 0: all of them
    Harness.equal(channel.basicGet(queue, true), null, "empty");
  }

  static void consumerPriority(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    Channel highChannel = scope.channel();
    String queue = scope.declare(channel, "queue", null);
    Scope.Inbox low = Scope.consume(scope.channel(), queue, Map.of("x-priority", 1));
    highChannel.basicQos(2);
    Scope.Inbox high = Scope.consume(highChannel, queue, Map.of("x-priority", 10));
    Scope.sendTexts(channel, queue, Scope.numbers(0, 4));
    List<Delivery> taken = high.take(2);
    Harness.equal(Scope.texts(taken), Scope.numbers(0, 2), "the higher priority's");
    Harness.equal(Scope.texts(low.take(2)), Scope.numbers(2, 4), "the lower priority's");
    highChannel.basicAck(taken.get(1).getEnvelope().getDeliveryTag(), true);
    highChannel.messageCount(queue); // answered after the acknowledgement is processed
    Scope.sendTexts(channel, queue, List.of("4"));
    Harness.equal(Scope.text(high.take()), "4", "the higher priority's, with credit again");
    low.quiet("for the lower priority");
  }

  static void singleActive(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    Channel activeChannel = scope.channel();
    String queue = scope.declare(channel, "queue", Map.of("x-single-active-consumer", true));
    Scope.Inbox active = Scope.consume(activeChannel, queue, null);
    Scope.Inbox waiting = Scope.consume(scope.channel(), queue, null);
    Scope.sendTexts(channel, queue, Scope.numbers(0, 4));
    List<Delivery> taken = active.take(4);
    Harness.equal(Scope.texts(taken), Scope.numbers(0, 4), "the active consumer's");
    waiting.quiet("for the waiting consumer");
    activeChannel.basicAck(taken.get(3).getEnvelope().getDeliveryTag(), true);
    activeChannel.basicCancel(active.tag);
    Scope.sendTexts(channel, queue, Scope.numbers(4, 6));
    Harness.equal(Scope.texts(waiting.take(2)), Scope.numbers(4, 6), "the next consumer's");
  }

  static void exclusive(Scope scope) throws Exception {
    Channel channel = scope.confirming();
    String owned = scope.exclusive(channel, "owned");
    Connection stranger = scope.connect();
    Errors.refused(stranger.createChannel(), 405, "consume from another's queue",
        other -> Scope.consume(other, owned, null));
    Errors.refused(stranger.createChannel(), 405, "declare another's queue",
        other -> other.queueDeclare(owned, false, true, false, null));
    Errors.refused(stranger.createChannel(), 405, "delete another's queue", other -> other.queueDelete(owned));

    String queue = scope.declare(channel, "consumer", null);
    channel.basicConsume(queue, false, "alone", false, true, null, (tag, delivery) -> {}, tag -> {});
    Errors.refused(scope, 403, "a second consumer beside an exclusive one", other -> Scope.consume(other, queue, null));
    channel.basicCancel("alone");
    Scope.consume(channel, queue, null);
    Errors.refused(scope, 403, "an exclusive consumer beside another",
        other -> other.basicConsume(queue, false, "", false, true, null, (tag, delivery) -> {}, tag -> {}));

    String shortLived = scope.queue("autodelete");
    channel.queueDeclare(shortLived, false, false, true, null);
    Scope.Inbox one = Scope.consume(channel, shortLived, null);
    Scope.Inbox two = Scope.consume(channel, shortLived, null);
    channel.basicCancel(one.tag);
    channel.queueDeclarePassive(shortLived);
    channel.basicCancel(two.tag);
    Errors.refused(scope, 404, "auto-delete queue after its last consumer",
        other -> other.queueDeclarePassive(shortLived));

    String gone = scope.queue("gone");
    stranger.createChannel().queueDeclare(gone, false, true, false, null);
    stranger.close();
    Errors.refused(scope, 404, "exclusive queue after its connection", other -> other.queueDeclarePassive(gone));
  }

  static void cancelNotify(Scope scope) throws Exception {
    Channel channel = scope.channel();
    String queue = scope.declare(channel, "queue", null);
    CompletableFuture<String> cancelled = new CompletableFuture<>();
    String tag = channel.basicConsume(queue, false, (consumer, delivery) -> {}, cancelled::complete);
    scope.channel().queueDelete(queue);
    Harness.equal(cancelled.get(), tag, "cancelled consumer");
    channel.queueDeclare(); // the channel lives on
  }

  static void directReplyTo(Scope scope) throws Exception {
    Channel server = scope.channel();
    String queue = scope.declare(server, "requests", null);
    BlockingQueue<AMQP.BasicProperties> requests = new LinkedBlockingQueue<>();
    server.basicConsume(queue, true, (tag, request) -> {
      requests.add(request.getProperties());
      AMQP.BasicProperties properties =
          new AMQP.BasicProperties.Builder().correlationId(request.getProperties().getCorrelationId()).build();
      byte[] body = Scope.bytes("re: " + Scope.text(request));
      server.basicPublish("", request.getProperties().getReplyTo(), properties, body);
    }, tag -> {});

    Channel clientChannel = scope.connect().createChannel();
    RpcClient client = new RpcClient(new RpcClientParams()
        .channel(clientChannel).exchange("").routingKey(queue).replyTo(REPLY_TO));
    for (int call = 0; call < 3; call++) {
      byte[] answer = client.primitiveCall(Scope.bytes("call " + call));
      Harness.equal(Scope.text(answer), "re: call " + call, "answer");
    }
    String replyTo = requests.take().getReplyTo();
    Harness.equal(replyTo.startsWith(REPLY_TO + "."), true, "rewritten reply-to " + replyTo);
    scope.channel().queueDeclarePassive(replyTo); // tells a server whether its client is still there
    clientChannel.close();
    Errors.refused(scope, 404, "reply-to of a client that left", other -> other.queueDeclarePassive(replyTo));

    AMQP.BasicProperties request = new AMQP.BasicProperties.Builder().replyTo(REPLY_TO).build();
    Errors.closes(scope.channel(), 406, "request of a client that does not consume replies",
        careless -> careless.basicPublish("", queue, request, new byte[0]));
    Errors.refused(scope, 406, "replies with acknowledgement", other -> Scope.consume(other, REPLY_TO, null));
  }
}
