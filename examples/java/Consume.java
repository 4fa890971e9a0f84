import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Print related items as they change: java -cp "KAFKA/libs/*" Consume.java [HOST:PORT] */
public class Consume {
    public static void main(String[] args) {
        Properties config = new Properties();
        config.put("bootstrap.servers", args.length > 0 ? args[0] : "localhost:9092");
        config.put("group.id", "my-shop-java");
        config.put("auto.offset.reset", "earliest");
        config.put("isolation.level", "read_committed");
        config.put("key.deserializer", StringDeserializer.class.getName());
        config.put("value.deserializer", StringDeserializer.class.getName());
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config)) {
            consumer.subscribe(List.of("related-items"));
            while (true) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                    String list = record.value() == null ? "has no list any more" : record.value();
                    System.out.println(record.key() + " " + list);
                }
            }
        }
    }
}
